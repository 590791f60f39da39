"""Everything wrong that can be handed to a campaign, and the sentence that says so; nothing has changed then.

Called behind the check of types that tests switch on, as users call it.
"""

import inspect

import jax
import jax.monitoring
import numpy as np
import pytest
from campaigns import COUNTING, KEY, QUERY, Kept, N, X, Y, open_campaign, told

from bal.acquisition import bald
from bal.loop import Campaign
from bal.query import Query
from bal.selection import batchbald

WHOLE = "must be a whole number"
OPENINGS = [
    ({"key": 0}, "expected one key as jax.random.key(0) or bal.seed_keys(0, 1)[0] makes it, got 0"),
    (
        {"key": np.zeros(2, np.uint32)},
        "expected one key as jax.random.key(0) or bal.seed_keys(0, 1)[0] makes it, got uint32",
    ),
    ({"learner": lambda x: x}, "expected a Learner, got the function or class <lambda>"),
    ({"learner": None}, "expected a Learner, got NoneType"),
    ({"query": bald}, "use bal.by_score(acquisition, select)"),
    ({"query": Query(())}, "a query needs at least one stage"),
    ({"query": Query((batchbald,))}, "a query is made of stages"),
    ({"over": "dense"}, "expected an Over such as bal.dense"),
    ({"x": None}, "expected an array of rows"),
    ({"x": "rows"}, "expected the inputs as numbers"),
    ({"x": 3.0}, "expected numeric arrays that lead with the rows"),
    ({"x": [["a", "b"], ["c", "d"]]}, "expected the inputs as numbers"),
    ({"x": [[1.0, 2.0], [3.0]]}, "a list of rows of one length"),
    ({"x": X * 1j}, "expected the inputs as numbers, got complex64"),
    ({"x": X.astype(float) * 1e41}, "holds a number too large for float32"),
    ({"x": np.arange(60).reshape(30, 2) * 2**30}, "row 1 of the inputs holds a number too large for int32"),
    ({"x": np.where(np.arange(N)[:, None] == 3, np.inf, X)}, "row 3 of the inputs holds NaN or infinity"),
    ({"x": np.array(["2020-01-01"], "datetime64[D]")}, "expected the inputs as numbers"),
    ({"capacity": 2.5}, f"capacity {WHOLE}, got 2.5"),
    ({"capacity": "a"}, f"capacity {WHOLE}, got 'a'"),
    ({"capacity": None}, f"capacity {WHOLE}, got None"),
    ({"capacity": True}, f"capacity {WHOLE}, got True"),
    ({"capacity": 0}, "capacity must be at least 1, got 0"),
    ({"pool_capacity": 60.5}, f"pool_capacity {WHOLE}, got 60.5"),
    ({"pool_capacity": 0}, "pool_capacity must be at least 1, got 0"),
    ({"pool_capacity": 5}, "pool_capacity 5 is smaller than the 300 rows given"),
    ({"classes": ["a", "a"]}, "expected distinct names of classes"),
    ({"classes": ["a", 1]}, "names of classes that are all text or all numbers"),
    ({"classes": []}, "expected distinct names of classes"),
    ({"classes": ["a", "b"], "num_classes": 3}, "expected num_classes=3 names of classes, got 2"),
    ({"classes": ["a", "b"]}, "this learner predicts real numbers (Gaussian), got num_classes=2"),
    ({"soft": True}, "soft labels are distributions over classes"),
    ({"ids": ["a"]}, "a different one for each of 300 rows"),
    *(({"num_classes": n}, f"num_classes must be at least 1, got {n}") for n in (0, -3)),
    *(({"num_classes": n}, f"num_classes {WHOLE}, got {n!r}") for n in ("3", 2.5, True)),
    *(({"num_outputs": n}, f"num_outputs must be at least 1, got {n}") for n in (0, -3)),
    *(({"num_outputs": n}, f"num_outputs {WHOLE}, got {n!r}") for n in ("3", 2.5, True)),
    ({"num_classes": 3}, "this learner predicts real numbers (Gaussian), got num_classes=3"),
    ({"cost": ["a"] * N}, "expected the costs as numbers"),
    ({"cost": -np.ones(N)}, "expected one positive cost for each of 300 rows, got -1.0"),
    ({"cost": np.full(N, np.nan)}, "expected one positive cost for each of 300 rows, got nan"),
    ({"cost": np.full(N, 1e39)}, "expected one positive cost for each of 300 rows, got inf"),
    ({"record": "folder"}, "expected an open record, got str"),
]
ROWS = "expected a list of integer row ids"
CALLS = [
    *(("ask", (n,), f"batch_size {WHOLE}, got {n!r}") for n in (2.0, "2", None, True)),
    ("ask", (0,), "batch_size must be at least 1, got 0"),
    ("ask", (99,), "the capacity leaves room for 14 more rows, got 99"),
    ("ask", (10**6,), "the pool has 294 rows left, fewer than batch_size=1000000"),
    ("tell", ([N], [0.0]), "row 300 is outside the pool"),
    ("tell", ([True], [0.0]), ROWS),
    ("tell", (["7"], [0.0]), ROWS),
    ("tell", ([7.0], [0.0]), ROWS),
    ("tell", ([None], [0.0]), ROWS),
    ("tell", ([[7]], [0.0]), ROWS),
    ("tell", ([7, 7], [0.0, 0.0]), "row 7 is named twice"),
    ("tell", ([7], []), "expected 1 labels"),
    ("tell", ([], [1.0]), "expected 0 labels"),
    ("tell", ([7], [[1.0]]), "expected 1 labels"),
    ("tell", ([7, 8], [[1.0], [1.0, 2.0]]), "a list of rows of one length"),
    ("tell", ([7], ["a"]), "expected the labels as numbers"),
    ("tell", ([7], [None]), "expected the labels as numbers"),
    ("tell", ([7], [1j]), "expected the labels as numbers"),
    ("tell", ([7], [np.nan]), "that of row 7, nan, is not finite"),
    ("tell", ([7], [1e39]), "that of row 7, 1e+39, is too large for float32"),
    ("correct", ([7], [0.0]), "row 7 has no label that could be corrected"),
    ("correct", ([N], [0.0]), "row 300 is outside the pool"),
    ("correct", (["7"], [0.0]), ROWS),
    ("withdraw", ([7],), "row 7 has no label that could be withdrawn"),
    ("withdraw", ([7, 7],), "row 7 is named twice"),
    ("propose", ([0, 0], [1, 1], 2.0), f"batch_size {WHOLE}, got 2.0"),
    ("skip", ([7],), "row 7 is not pending"),
    ("skip", (["7"],), ROWS),
    ("add", (X[:21],), "the pool has room for 20 more rows, got 21"),
    ("add", (X[:1, :1],), "expected rows of shape (2,) as in the pool, got (1,)"),
    ("add", ({"a": X[:1]},), "expected rows as in the pool"),
    ("add", ([["a", "b"]],), "expected the inputs as numbers"),
    ("add", (X[:1] * 1j,), "expected the inputs as numbers"),
    ("add", (X[:1] * np.inf,), "row 0 of the inputs holds NaN or infinity"),
    ("add", (X[:1].astype(float) * 1e41,), "holds a number too large for float32"),
    ("add", (X[:2], [1.0]), "expected one positive cost for each of 2 rows, got an array of shape (1,)"),
    ("add", (X[:2], ["a", "b"]), "expected the costs as numbers"),
    ("predict", (X[:2, :1],), "expected rows of shape (2,) as in the pool, got (1,)"),
    ("predict", ("rows",), "expected the inputs as numbers"),
]


@pytest.mark.parametrize(("changes", "sentence"), OPENINGS)
def test_openings(changes, sentence):
    arguments = {"key": KEY, "learner": COUNTING, "query": QUERY, "x": X, "capacity": 20, **changes}
    with pytest.raises((ValueError, TypeError)) as refused:
        inspect.unwrap(Campaign.__init__)(object.__new__(Campaign), **arguments)
    assert sentence in str(refused.value)


@pytest.fixture(scope="module")
def going():
    """4 labels, 2 pending rows."""
    record = Kept()
    campaign = open_campaign(record, capacity=20, pool_capacity=N + 20)
    told(campaign)
    told(campaign)
    campaign.ask(2)
    return campaign, record


def refuses(going, name, arguments, options, sentence):
    campaign, record = going
    before, events = campaign._now, list(record.events)
    with pytest.raises((ValueError, TypeError)) as refused:
        inspect.unwrap(getattr(Campaign, name))(campaign, *arguments, **options)
    assert sentence in str(refused.value)
    assert campaign._now is before
    assert record.events == events


@pytest.mark.parametrize(("name", "arguments", "sentence"), CALLS)
def test_calls(going, name, arguments, sentence):
    refuses(going, name, arguments, {}, sentence)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weight": 0.0}, "expected weight as one positive number"),
        ({"weight": [1.0, 2.0]}, "one for each of 1 rows"),
        ({"weight": "much"}, "expected the weights as numbers"),
        ({"cost": -1.0}, "expected cost as one positive number"),
        ({"cost": np.nan}, "expected cost as one positive number"),
        ({"annotator": 3}, "expected annotator as a name"),
        ({"annotator": ""}, "expected annotator as a name"),
        ({"annotator": ["Ann", "Bob"]}, "a list of 1 names"),
    ],
)
def test_what_is_given_with_an_answer(going, options, sentence):
    refuses(going, "tell", ([7], [0.0]), options, sentence)


def test_answers_that_are_there(going):
    campaign, _ = going
    row = int(campaign.indices[0])
    known = f"row {row} has a label already; replace it by correct(rows, labels)"
    refuses(going, "tell", ([row], [0.0]), {}, known)
    refuses(going, "correct", ([row], [0.0]), {"annotator": "Eve"}, f"row {row} has no label of Eve")
    refuses(going, "correct", ([row], [np.nan]), {}, f"that of row {row}, nan, is not finite")
    refuses(going, "correct", ([row], []), {}, "expected 1 labels")
    refuses(going, "withdraw", ([row],), {"annotator": "Eve"}, f"row {row} has no label of Eve")


def test_no_rows_are_no_event(going):
    campaign, record = going
    events = list(record.events)
    campaign.tell([], [])
    campaign.skip([])
    campaign.correct([], [])
    campaign.withdraw([])
    campaign.tell(campaign.pending[:0], Y[:0])
    assert record.events == events


def test_whole_numbers_only_join_whole_numbers():
    learner = COUNTING._replace(predict=lambda state, x: COUNTING.predict(state, x.astype(np.float32)))
    campaign = open_campaign(x=np.arange(20).reshape(10, 2), learner=learner, pool_capacity=12, capacity=5)
    with pytest.raises(ValueError, match="expected rows of int32 as in the pool, got float64 that it cannot hold"):
        campaign.add([[0.5, 1.0]])
    assert campaign.add([[5.0, 1.0]]).tolist() == [10]


def test_a_new_batch_size_compiles_one_program(going):
    """And one that was there before, none."""
    _, record = going
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: compiled.append(name) if "backend_compile" in name else None
    )
    numbers = []
    for size in (2, 3, 3):
        compiled.clear()
        again = open_campaign(record.copy(), capacity=20, pool_capacity=N + 20)
        again.ask(size)
        again.tell(again.pending[-size:], np.zeros(size))
        again.skip(again.pending)
        numbers.append(len(compiled))
    assert numbers[1:] == [1, 0]
