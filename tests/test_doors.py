"""Wrong input at every door: one sentence from `run_seeds`, `run_eager` and `Campaign` alike.

A row is one wrong input, what it changes in a sound problem, and the words of the refusal; each is tried at every door
where it can be handed in. Functions are unwrapped: a user's program does not check shapes at every call, as test runs
do.
"""

import warnings
from functools import cache
from inspect import unwrap
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from campaigns import COUNTING
from flax import nnx
from problem import CENTERS, CLASSES, KEY, LEARNER, MOVING, POOL, QUERY, SIZES, N, X, Y, evaluate
from sklearn.linear_model import LogisticRegression

from bal.acquisition import bald, epistemic_variance, predictive_entropy, probit_bald
from bal.evaluation import classification
from bal.learners import linear, mlp
from bal.loop import Campaign, run_eager, run_seeds, seed_keys
from bal.loop.doors import check_answers
from bal.loop.seeds import SeedsInterrupted
from bal.pool import dense, host, make_pool, streamed
from bal.query import Query, Stage, alc_scores, by_score, epig_scores, pool_targets, predictions
from bal.records import open_record
from bal.selection import batchbald, best, random_uniform
from bal.strategies import epig
from bal.typing import Gaussian, Latent, Learner, Pool, Setup, Task

X_POOL, LABELS = np.asarray(X), np.asarray(Y)
BY_VARIANCE = by_score(epistemic_variance, best)
REAL = {"learner": COUNTING, "query": BY_VARIANCE, "y": X_POOL[:, 0], "num_classes": None, "evaluate": None}


def answering(predict):
    """A learner that predicts the same whatever it is fitted to."""
    return Learner(lambda key, data: jnp.zeros(1), lambda key, state, data: state, lambda state, x: predict(len(x)))


ONES = answering(lambda n: Gaussian(jnp.zeros((n, 1)), jnp.ones((n, 1)), jnp.ones((n, 1))))
LATENT = answering(lambda n: Latent(jnp.zeros((n, 1)), jnp.ones((n, 1))))
BINARY = {"learner": LATENT, "query": by_score(probit_bald, best), "y": LABELS % 2, "num_classes": 2, "evaluate": None}


def log_softmax(*shape):
    return jax.nn.log_softmax(jax.random.normal(jax.random.key(2), shape))


def pool_of(x):
    return x if isinstance(x, Pool) else make_pool(x)


OWN_START = Task(None, None, start=0)


def parts(settings):
    """A set-up, and what is none of it."""
    taken = {name: settings.pop(name) for name in Setup._fields if name in settings}
    return Setup(**taken), settings


def by_seeds(x, y, test, start, key, num_classes, axes=OWN_START, **settings):
    keys = key if key is not KEY else seed_keys(0, 2)
    starts = start if start is None else np.tile(start, (2, 1))
    setup, others = parts(settings)
    return unwrap(run_seeds)(keys, Task(pool_of(x), y, test, starts), setup, axes, **others)


def by_rounds(x, y, test, start, key, num_classes, **settings):
    setup, others = parts(settings)
    return unwrap(run_eager)(key, Task(pool_of(x), y, test, start), setup, **others)


def by_people(x, y, test, start, key, num_classes, *, learner, query, batch_size, num_initial, over, **settings):
    campaign = Campaign.__new__(Campaign)
    unwrap(Campaign.__init__)(campaign, key, learner, query, x, capacity=12, num_classes=num_classes, over=over)
    rows = np.arange(4) if start is None else start
    unwrap(Campaign.tell)(campaign, rows, np.asarray(y)[np.clip(np.asarray(rows, int), 0, N - 1)])
    return unwrap(Campaign.ask)(campaign, batch_size)


DOORS = {"run_seeds": by_seeds, "run_eager": by_rounds, "Campaign": by_people}
ALL, RUNS = tuple(DOORS), ("run_seeds", "run_eager")
SOUND = {"x": X_POOL, "y": LABELS, "test": (X_POOL, LABELS), "start": None, "key": KEY, "num_classes": CLASSES}
SOUND |= {"learner": CENTERS, "query": QUERY, "evaluate": evaluate, "over": dense, **SIZES}


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


ROWS = [
    ("NaN in the inputs", ALL, {"x": changed(X_POOL, 7, np.nan)}, "row 7 of the inputs holds NaN or infinity; drop or"),
    ("one entry infinite", ALL, {"x": changed(X_POOL, (9, 1), np.inf)}, "row 9 of the inputs holds NaN or infinity"),
    ("too large for float32", ALL, {"x": changed(X_POOL.astype(float), 3, 1e39)}, "row 3 .* too large for float32"),
    ("no rows", ALL, {"x": X_POOL[:0], "y": LABELS[:0]}, "pool is empty|expected at least 1 row"),
    ("text for inputs", ALL, {"x": X_POOL.astype(str)}, "expected the inputs as numbers, got <U.* encode"),
    ("objects for inputs", ALL, {"x": X_POOL.astype(object)}, "expected the inputs as numbers, got object"),
    ("complex inputs", ALL, {"x": X_POOL.astype(complex)}, "expected the inputs as numbers, got complex"),
    ("ragged rows", ALL, {"x": [[0.0, 1.0], [2.0]]}, "a list of rows of one length"),
    ("one number for a pool", ALL, {"x": np.float32(1.0)}, "arrays that lead with the rows"),
    ("leaves of two lengths", ALL, {"x": (X_POOL, X_POOL[:5])}, "arrays that share their leading axis"),
    ("labels of 1..C", ALL, {"y": LABELS + 1}, r"label 3 of row \d+ is out of range: expected classes in \[0, 3\)"),
    ("labels of -1, 0, +1", ALL, {"y": LABELS - 1}, "label -1 of row .* is out of range"),
    ("labels of -1 and +1", ALL, {**BINARY, "y": 2 * (LABELS % 2) - 1}, "label -1 of row .* is out of range"),
    ("three classes, binary learner", RUNS, {**BINARY, "y": LABELS}, r"label 2 of row .* expected classes in \[0, 2\)"),
    ("three classes, binary learner", ("Campaign",), {**BINARY, "num_classes": 3}, "predicts 2 classes"),
    ("classes as floats", ALL, {"y": LABELS + 0.5}, "labels that are integer class numbers, got float"),
    ("classes as text", ALL, {"y": np.array(list("abc"))[LABELS]}, "expected the labels as numbers, got <U1 such as"),
    ("column of classes", ALL, {"y": LABELS[:, None]}, r"labels, one for each row, got .* 1\); a column"),
    ("column of reals", ALL, {**REAL, "y": X_POOL[:, :1]}, r"labels, one for each row, got .* 1\); a column"),
    ("NaN among real labels", ALL, {**REAL, "y": changed(X_POOL[:, 0], 2, np.nan)}, "row 2, nan, is not finite"),
    ("too large a label", ALL, {**REAL, "y": changed(X_POOL[:, 0].astype(float), 2, 1e39)}, "too large for float32"),
    ("complex labels", ALL, {**REAL, "y": X_POOL[:, 0].astype(complex)}, "expected the labels as numbers, got complex"),
    ("fewer labels than rows", RUNS, {"y": LABELS[:10]}, "one label for each of 40 pool rows, got labels of length"),
    ("a label for all", RUNS, {"y": 1}, "one label for each of 40 pool rows"),
    ("logits", ALL, {"learner": answering(lambda n: jnp.ones((n, 2, CLASSES)))}, "normalised, got a row that sums to"),
    ("probabilities", ALL, {"learner": answering(lambda n: jnp.full((n, 2, 3), 1 / 3))}, "take the log of probabi"),
    (
        "[N, C, K]",
        ALL,
        {"learner": answering(lambda n: log_softmax(n, 4, 3).swapaxes(1, 2))},
        "normalised|predicts 4 classes",
    ),
    ("no axis of draws", ALL, {"learner": answering(lambda n: log_softmax(n, CLASSES))}, "has one: add an axis"),
    (
        "a tuple predicted",
        ALL,
        {"learner": answering(lambda n: (log_softmax(n, 2, 3),))},
        "predicts log probab.* tuple",
    ),
    (
        "negative variance",
        ALL,
        {**REAL, "learner": answering(lambda n: Gaussian(jnp.zeros((n, 1)), -jnp.ones((n, 1)), jnp.ones((n, 1))))},
        "variance is negative",
    ),
    ("acquisition for a query", ALL, {"query": bald}, r"expected a Query, got .* bald; use bal.by_score"),
    (
        "an estimator for a learner",
        ALL,
        {"learner": LogisticRegression()},
        r"write bal.learners.from_sklearn\(estimator",
    ),
    ("a module for a learner", ALL, {"learner": nnx.Linear}, r"write ensemble\(bal.learners.network\(module\)"),
    ("a network for a learner", ALL, {"learner": linear(3)}, r"write ensemble\(network, num_members=10\)"),
    (
        "NaN in the test set",
        RUNS,
        {"test": (changed(X_POOL, 4, np.nan), LABELS)},
        "test set holds NaN or infinity at index 4",
    ),
    ("infinity in the test set", RUNS, {"test": (changed(X_POOL, 5, np.inf), LABELS)}, "NaN or infinity at index 5"),
    ("metrics of nothing", RUNS, {"test": None, "evaluate": classification()}, r"expected a test set \(x, y\) .* none"),
    (
        "targets of two columns",
        RUNS,
        {"query": epig(X_POOL[:3, :1])},
        r"target rows of the shape of pool rows, .*\(1,\)",
    ),
    ("selector for a query", ALL, {"query": best}, "expected a Query, got .* best"),
    (
        "factory for a selector",
        ALL,
        {"query": Query((Stage(None, batchbald),))},
        r"factory must be called .* batchbald\(\)",
    ),
    ("no stages", ALL, {"query": Query(())}, "at least one stage"),
    ("network for a learner", ALL, {"learner": mlp((4,))}, "expected a Learner, got Network"),
    ("text for over", ALL, {"over": "dense"}, "expected an Over .* got 'dense'"),
    ("no picks", ALL, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ("batch_size 2.0", ALL, {"batch_size": 2.0}, "batch_size must be a whole number, got 2.0"),
    ("batch_size True", ALL, {"batch_size": True}, "batch_size must be a whole number, got True"),
    ("batch_size as text", ALL, {"batch_size": "2"}, "batch_size must be a whole number, got '2'"),
    ("rounds below 0", RUNS, {"num_rounds": -1}, "num_rounds must be at least 0, got -1"),
    ("half a round", RUNS, {"num_rounds": 2.5}, "num_rounds must be a whole number, got 2.5"),
    ("no start", RUNS, {"num_initial": None}, "nothing would be labeled before the first query; give num_initial"),
    ("a negative start", RUNS, {"num_initial": -4}, "num_initial must be at least 0"),
    ("start outside", ALL, {"start": [0, N]}, r"row 40 is outside the pool: expected ids in \[0, 40\)"),
    ("start absent", RUNS, {"x": POOL._replace(present=jnp.arange(N) > 3), "start": [1, 9]}, "row 1 .* is not present"),
    ("one start set too many", ("run_eager",), {"start": [[1, 2]]}, r"row ids \[rows\] got shape \(1, 2\)"),
    ("start twice", ALL, {"start": [3, 3]}, "row 3 is named twice"),
    ("start of floats", ALL, {"start": [0.5, 1.5]}, "a list of integer row ids, got float"),
    ("more than there is", RUNS, {"num_rounds": 30}, "4 start labels and 60 acquisitions need 64 rows, .* has 40"),
    (
        "an int for a key",
        ("run_eager", "Campaign"),
        {"key": 5},
        r"one key as jax.random.key\(0\) or .* makes it, got 5",
    ),
    ("a raw key", ("run_eager", "Campaign"), {"key": jax.random.PRNGKey(0)}, "one key as .* got uint32 of shape"),
    ("an int for keys", ("run_seeds",), {"key": 5}, r"one key per seed, \[seeds\], got 5; use bal.seed_keys"),
    ("one key for keys", ("run_seeds",), {"key": jax.random.key(1)}, r"one key per seed, \[seeds\]"),
    ("raw keys", ("run_seeds",), {"key": jax.random.split(jax.random.PRNGKey(0), 2)}, "one key per seed"),
    ("an empty test set", RUNS, {"test": (X_POOL[:0], LABELS[:0])}, "the test set is empty"),
    ("metrics without names", RUNS, {"evaluate": lambda posterior, test: jnp.zeros(2)}, "a dict of named metrics"),
    ("evaluate is no function", RUNS, {"evaluate": "accuracy"}, "evaluate is called with a posterior"),
    (
        "a streamed pool compiled",
        ("run_seeds",),
        {"over": streamed(8)},
        "this pool cannot be compiled .* use study, or run_eager",
    ),
    ("an oracle of rows alone", RUNS, {"y": lambda rows: rows}, r"called with \(key, indices, x\), but .*lambda"),
    (
        "Python that cannot be compiled",
        ("run_seeds",),
        {"y": lambda key, indices, x: LABELS[np.asarray(indices)]},
        r"this oracle cannot be compiled .*use run_eager, which asks any Python",
    ),
    ("an oracle of reals", RUNS, {"y": lambda key, indices, x: x[:, 0]}, "labels that are integer class numbers"),
    ("an oracle of columns", RUNS, {"y": lambda key, indices, x: indices[:, None] % 3}, "expected . labels, one for e"),
    (
        "an oracle out of range",
        RUNS,
        {"y": lambda key, indices, x: indices * 0 + 7},
        r"label 7 of row \d+ is out of ra",
    ),
    (
        "an oracle that is not a number",
        RUNS,
        {**REAL, "y": lambda key, indices, x: x[:, 0] * np.nan},
        r"expected finite real labels, but that of row \d+",
    ),
    (
        "scores per draw",
        ALL,
        {"query": by_score(lambda log_probs: log_probs.max(-1), best)},
        r"one score per row, \[\d+\], but <lambda> returned \(\d+, 2\)",
    ),
    (
        "ALC of a binary process",
        ALL,
        {**BINARY, "query": Query((Stage(unwrap(alc_scores), best, pool_targets(4)),))},
        "alc needs the variances of a regression, but this learner gives a Latent of 1 draw; use .* epig",
    ),
    (
        "a covariance of rows without noise",
        ALL,
        {
            **REAL,
            "learner": ONES._replace(embed=lambda state, x: x[:, None], kernel=lambda state, a, b: jnp.vdot(a, b)),
            "query": Query((Stage(unwrap(epig_scores), best, pool_targets(4)),)),
        },
        r"epig by a covariance needs noise \[rows, draws\] in the learner's embedded rows",
    ),
    (
        "EPIG of one network",
        ALL,
        {
            "learner": answering(lambda n: log_softmax(n, 1, CLASSES)),
            "query": Query((Stage(unwrap(epig_scores), best, pool_targets(4)),)),
        },
        "gives log probabilities of 1 draw and no kernel: every score would be 0; use an ensemble or",
    ),
    (
        "ALC without targets",
        ALL,
        {**REAL, "learner": ONES, "query": Query((Stage(unwrap(alc_scores), best),))},
        r"about target rows, but its context is NoneType; write .*targets\(x_target\)",
    ),
    ("classes for a regression", ("Campaign",), {**REAL, "num_classes": 3}, "predicts real numbers .* num_classes=3"),
    ("no classes for a classifier", ("Campaign",), {"num_classes": None}, "predicts 3 classes .* got num_classes=None"),
]
PAIRS = [pytest.param(door, *row[2:], id=f"{row[0]}-{door}") for row in ROWS for door in row[1]]


def test_the_table_is_long():
    assert len(PAIRS) >= 60


@pytest.mark.parametrize(("door", "change", "message"), PAIRS)
def test_wrong_input_is_refused(door, change, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        DOORS[door](**{**SOUND, **change})
    assert "\n" not in str(caught.value), "one sentence"


SAME = [
    ("a list of rows", {"x": list(X_POOL)}),
    ("a list of lists", {"x": X_POOL.tolist()}),
    ("labels as a list", {"y": LABELS.tolist()}),
    ("float64 inputs", {"x": X_POOL.astype(float)}),
]


@cache
def sound_picks(door):
    return picks(DOORS[door](**{**SOUND, "num_rounds": 1}))


def picks(found):
    return np.asarray(found if isinstance(found, np.ndarray) else getattr(found, "log", found).indices).tolist()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("change", [change for _, change in SAME], ids=[name for name, _ in SAME])
def test_tables_and_lists_are_read_as_arrays(change, door):
    assert picks(DOORS[door](**{**SOUND, "num_rounds": 1, **change})) == sound_picks(door)


SAME_FOR_ALL = answering(lambda n: jnp.log(jnp.broadcast_to(jnp.array([0.2, 0.3, 0.5]), (n, 2, CLASSES))))


def nan_for_some(x):
    """Log probabilities that are NaN where the first input is positive."""
    log_probs = log_softmax(len(x), 2, CLASSES)
    return jnp.where((x[:, 0] > 0)[:, None, None], jnp.nan, log_probs)


NAN_FOR_SOME = SAME_FOR_ALL._replace(predict=lambda state, x: nan_for_some(x))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "query",
    [
        pytest.param(by_score(bald, best), id="bald"),
        pytest.param(by_score(predictive_entropy, best), id="entropy", marks=pytest.mark.slow),
        pytest.param(Query((Stage(predictions, batchbald()),)), id="batchbald", marks=pytest.mark.slow),
    ],
)
def test_scores_that_are_all_equal_are_warned_of_once(door, query):
    """Rows are then picked by their place: whoever sorted the pool by class labels one class."""
    with pytest.warns(UserWarning, match=r"all scores were equal.*do the posterior draws differ") as caught:
        found = DOORS[door](**{**SOUND, "learner": SAME_FOR_ALL, "query": query, "evaluate": None})
    assert len(caught) == 1
    if door != "Campaign":
        assert np.asarray(getattr(found, "log", found).info["all_equal"]).all()


@pytest.mark.parametrize("door", RUNS)
def test_scores_that_are_not_numbers_are_warned_of(door):
    with pytest.warns(UserWarning, match=r"some scores were NaN|scores of the others are not numbers"):
        found = DOORS[door](**{**SOUND, "learner": NAN_FOR_SOME, "evaluate": None})
    log = getattr(found, "log", found)
    picked = X_POOL[np.asarray(log.indices)[np.asarray(log.valid)]]
    assert (picked[:, 0] <= 0).all()


class Early(NamedTuple):
    """The state of a fit that tells whether it has converged."""

    converged: jax.Array


@pytest.mark.parametrize("door", DOORS)
def test_a_fit_that_ended_early_is_warned_of(door):
    state = lambda *given: Early(jnp.zeros(1, bool))
    early = COUNTING._replace(init=state, fit=state, predict=lambda state, x: COUNTING.predict(x[0, 0], x))
    with pytest.warns(UserWarning, match=r"in \d of \d queries the fit had not converged.* allow more steps"):
        found = DOORS[door](**{**SOUND, **REAL, "learner": early, "num_rounds": 1})
    if door != "Campaign":
        assert not np.asarray(getattr(found, "log", found).info["converged"]).any()


@pytest.mark.parametrize("door", DOORS)
def test_a_sound_problem_warns_of_nothing(door):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for query in (QUERY, Query((Stage(None, random_uniform),))):
            DOORS[door](**{**SOUND, "num_rounds": 1, "query": query})


def test_whole_numbers_and_truth_values_serve_as_labels():
    """For a regression whole numbers are reals, for classes truth values are class numbers."""
    rows, whole = np.arange(3), np.array([0, 1, 1])
    moments = Gaussian(*jnp.zeros((3, 3, 1)))
    assert check_answers(moments, whole, rows).dtype.kind == "f"
    assert check_answers(jnp.zeros((3, 1, 2)), whole > 0, rows).tolist() == [0, 1, 1]
    assert check_answers(jnp.zeros((3, 1, 2)), whole > 0, rows).dtype.kind == "i"
    assert check_answers(Latent(*jnp.zeros((2, 3, 1))), whole.astype(float), rows).tolist() == [0.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="integer class numbers"):
        check_answers(jnp.zeros((3, 1, 2)), whole.astype(float), rows)


def test_labels_of_absent_rows_may_be_anything():
    """Places that a pool keeps for rows to come have no label yet."""
    pool = POOL._replace(present=jnp.arange(N) < 30)
    y = np.where(np.arange(N) < 30, LABELS, -1)
    setup = Setup(CENTERS, QUERY, batch_size=2, num_rounds=1, num_initial=4)
    assert (run_seeds(seed_keys(0, 2), Task(pool, y), setup).log.indices < 30).all()


def test_an_oracle_that_is_asked_is_checked_as_it_answers():
    asked = lambda answer: lambda key, indices, x: np.full(len(indices), answer)
    settings = {**SOUND, "num_rounds": 1}
    with pytest.raises(ValueError, match=r"label 7 of row \d+ is out of range"):
        by_rounds(**{**settings, "y": asked(7)})
    with pytest.raises(ValueError, match="expected the labels as numbers, got <U3"):
        by_rounds(**{**settings, "y": asked("cat")})
    one_by_one = lambda key, indices, x: [np.ones(CLASSES) / CLASSES for _ in np.asarray(indices)]
    with pytest.raises(ValueError, match=r"a label of shape \(3,\), but before with \(\); return one array"):
        by_rounds(**{**settings, "y": one_by_one, "num_initial": 0})
    with pytest.raises(TypeError, match="evaluate must return a dict of named metrics, got tuple"):
        by_rounds(**{**settings, "y": asked(1), "evaluate": lambda posterior, test: (1.0,)})


def test_a_host_model_that_lacks_a_class_is_refused():
    """scikit-learn has one column per class that it has seen: read as the first classes they would be others."""
    from sklearn.linear_model import LogisticRegression

    def fit(key, state, data):
        seen = np.asarray(data.weight) > 0
        return LogisticRegression().fit(np.asarray(data.x)[seen], np.asarray(data.y)[seen])

    predict = lambda model, x: np.log(model.predict_proba(x) + 1e-9)[:, None]
    learner = Learner(lambda key, data: None, fit, predict)
    settings = {"learner": learner, "evaluate": None, "over": host(), "num_initial": None}
    start = np.flatnonzero(LABELS > 0)[:6]
    with pytest.raises(ValueError, match=r"label 2 of row \d+ is out of range: expected classes in \[0, 2\)"):
        by_rounds(**{**SOUND, **settings, "start": start})
    with pytest.raises(ValueError, match="3 classes on the last axis, got 2"):
        by_people(**{**SOUND, **settings, "start": start})


def test_rounds_that_are_stopped_keep_the_seeds_that_were_finished():
    def stop(log):
        raise KeyboardInterrupt

    keys, setup = seed_keys(0, 4), Setup(MOVING, QUERY, **SIZES, evaluate=evaluate)
    task = Task(POOL, Y, (X, Y))
    with pytest.raises(SeedsInterrupted, match="stopped after 2 of 4 seeds; go on with skip=2") as caught:
        run_seeds(keys, task, setup, seeds_per_call=2, on_seeds=stop)
    rest = run_seeds(keys, task, setup, seeds_per_call=2, skip=2)
    whole = run_seeds(keys, task, setup, seeds_per_call=2)
    both = jax.tree.map(lambda *leaves: np.concatenate(leaves), caught.value.runs.log, rest.log)
    jax.tree.map(np.testing.assert_array_equal, both, whole.log)


@pytest.mark.parametrize("problem", [{}, REAL], ids=["classes", "reals"])
def test_an_experiment_may_start_with_no_label(problem, tmp_path):
    """The learner's prior then chooses the first batch, at every door of a simulated run, resumed ones too."""
    settings = {**SOUND, **problem, "evaluate": None, "num_initial": 0, "num_rounds": 1}
    y = settings["y"]
    whole = by_rounds(**settings)
    assert whole.start.shape == (0,)
    assert whole.num_training.tolist() == [0, 2]
    assert (
        by_rounds(**{**settings, "y": lambda key, rows, x: [y[row] for row in rows]}).indices.tolist()
        == whole.indices.tolist()
    )
    for _ in range(2):  # recorded, and read back
        with open_record(tmp_path, "run", {}) as record:
            assert by_rounds(**settings, record=record).indices.tolist() == whole.indices.tolist()
    assert by_seeds(**settings).log.indices.shape == (2, 1, 2)


def test_runs_and_campaigns_keep_records_apart(tmp_path):
    with open_record(tmp_path, "labels", {}) as record:
        campaign = Campaign(KEY, CENTERS, QUERY, X_POOL, capacity=8, num_classes=CLASSES, record=record)
        campaign.tell([0, 1, 2], LABELS[:3])
        with pytest.raises(ValueError, match="this record holds a campaign"):
            by_rounds(**SOUND, record=record)
    with pytest.raises(TypeError, match="expected an open record, got str"):
        by_rounds(**SOUND, record="runs/labels")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds_per_call": 0}, "seeds_per_call must be at least 1, got 0"),
        ({"skip": -1}, "skip must be at least 0"),
        ({"axes": Task(None, 1, start=0)}, "axes are 0 .* got 1; move the axis first"),
        ({"axes": (None, 1, None, 0)}, "axes are a Task of 0 .* got tuple"),
    ],
)
def test_odd_ways_of_mapping_are_refused(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        by_seeds(**SOUND, **settings)


@pytest.mark.parametrize("door", [run_seeds, run_eager])
def test_a_task_and_a_setup_are_asked_for(door):
    key, setup = seed_keys(0, 2) if door is run_seeds else KEY, Setup(LEARNER, QUERY, **SIZES)
    with pytest.raises(TypeError, match=r"expected a Task, got Pool; make one: Task\(make_pool\(x\), y\)"):
        unwrap(door)(key, POOL, setup)
    with pytest.raises(TypeError, match=r"expected a Setup, got dict; make one: Setup\(learner, query, batch_size"):
        unwrap(door)(key, Task(POOL, LABELS), SIZES)


def test_a_start_set_is_present_in_the_pool_of_every_seed():
    present = jnp.stack([jnp.ones(N, bool), jnp.arange(N) != 3])
    task, axes = Task(POOL._replace(present=present), LABELS, start=[2, 3]), Task(Pool(None, 0, None), None)
    with pytest.raises(ValueError, match="row 3 of the start set is not present"):
        unwrap(run_seeds)(seed_keys(0, 2), task, Setup(LEARNER, QUERY, **SIZES), axes)


def test_labels_of_every_seed_are_checked():
    wrong = np.stack([LABELS, changed(LABELS, 5, 9)])
    with pytest.raises(ValueError, match="label 9 of row 5 is out of range"):
        by_seeds(**{**SOUND, "y": wrong}, axes=Task(None, 0, start=0))
