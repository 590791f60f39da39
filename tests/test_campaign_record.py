"""Opening a campaign again: on its own rows and no others, wherever it was stopped, larger if wanted."""

import warnings

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from campaigns import COUNTING, KEY, QUERY, Kept, N, X, Y, open_campaign, same, told
from gpjax.kernels import RBF
from sklearn.ensemble import RandomForestClassifier

from bal.acquisition import bald, epistemic_variance
from bal.learners.gp import gp_regression, process
from bal.loop import Campaign
from bal.loop.checkpoint import pack_tree, unpack_tree
from bal.pool import host, streamed
from bal.query import by_score
from bal.records import open_record
from bal.selection import best, random_uniform
from bal.typing import ANSWERED, SKIPPED, Learner


@pytest.fixture
def kept():
    """The record of a campaign of 4 labels and 2 pending rows."""
    record = Kept()
    campaign = open_campaign(record)
    told(campaign)
    told(campaign)
    campaign.ask(2)
    return record


def test_the_same_opening_leaves_the_record_as_it_is(kept):
    before = list(kept.events)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_campaign(kept)
    assert kept.events == before
    assert [event["kind"] for event in before] == ["open", "ask", "tell", "ask", "tell", "ask"]


def asked(kept):
    return [row for event in kept.events if event["kind"] == "ask" for row in event["rows"]]


def moved(x, row):
    x = x.copy()
    x[row] += 1
    return x


@pytest.mark.parametrize("stopped", [0, 1, 2, 3, 4, 5, 6])
def test_a_changed_row_is_refused_and_named(kept, stopped):
    """Whether it was asked for or not, and however far the campaign has come."""
    record = Kept(kept.events[:stopped] or kept.events[:1])
    rows = asked(record)
    for row in rows[-2:]:
        with pytest.raises(ValueError, match=f"^row {row} is not the row that the record knows"):
            open_campaign(record, x=moved(X, row))
    other = next(row for row in range(N) if row not in asked(kept))
    with pytest.raises(ValueError, match="the rows asked for are the same, others differ"):
        open_campaign(record, x=moved(X, other))
    assert open_campaign(record).num_labeled == sum(len(e["rows"]) for e in record.events if e["kind"] == "tell")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": X[::-1]}, r"row \d+ is not the row that the record knows"),
        ({"x": np.delete(X, 3, axis=0)}, r"row \d+ is not the row that the record knows"),
        ({"x": X[:-1]}, "the record is of 300 rows, but only 299 rows were handed in"),
        ({"x": X.astype(np.float16)}, r"of rows of type float32\[2\], but got float16\[2\]"),
        ({"x": {"a": X}, "learner": COUNTING._replace(predict=lambda s, x: COUNTING.predict(s, x["a"]))}, r"\['a'\]"),
        ({"key": jax.random.key(6)}, r"of the key .* \[0, 5\], but got .* \[0, 6\]"),
        ({"num_outputs": 1}, "predicts one outputs, got num_outputs=1"),
        ({"capacity": 5}, "the capacity of 5 is below the number of answers and pending rows"),
    ],
)
def test_another_campaign_is_refused(kept, changes, message):
    before = list(kept.events)
    with pytest.raises(ValueError, match=message):
        open_campaign(kept, **changes)
    assert kept.events == before


def test_other_labels_are_refused():
    log_probs = lambda classes: Learner(
        lambda key, data: (),
        lambda key, state, data: (),
        lambda state, x: jnp.full((len(x), 1, classes), -np.log(classes)),
    )
    record, query = Kept(), by_score(bald, best)
    open_campaign(record, learner=log_probs(3), query=query, num_classes=3)
    with pytest.raises(ValueError, match="the record is of num_classes 3, but got 7"):
        open_campaign(record, learner=log_probs(7), query=query, num_classes=7)
    with pytest.raises(ValueError, match="the record is of num_classes 3, but got None"):
        open_campaign(record)


@pytest.mark.parametrize("kind", ["open", "round"])
def test_the_record_of_an_experiment_is_refused(kind):
    with pytest.raises(ValueError, match="rounds of an experiment, not a campaign"):
        open_campaign(Kept([{"kind": kind, "seed": 0}]))


def test_notes_of_others_are_passed_over(kept):
    record = Kept([{"kind": "note", "text": "begun"}])
    campaign = open_campaign(record)
    record.append([{"kind": "note", "text": "lunch"}])
    told(campaign)
    assert same(campaign, open_campaign(record))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"query": by_score(epistemic_variance, random_uniform)},
            "another query, which begins anew from the labels: method was",
        ),
        ({"learner": COUNTING._replace(fit=lambda key, state, data: state + 2)}, "another learner.*method.fit"),
        ({"cost": np.arange(1.0, N + 1)}, "goes on with other costs"),
    ],
)
def test_another_method_is_named_once_and_written_down(kept, changes, message):
    with pytest.warns(UserWarning, match=message):
        campaign = open_campaign(kept, **changes)
    assert campaign.num_labeled == 4
    campaign.ask(2)
    assert [event["kind"] for event in kept.events][-2:] == ["open", "ask"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(campaign, open_campaign(kept, **changes))


def test_a_learner_that_never_asked_leaves_no_state(kept):
    """Opened with another learner and closed at once, twice: the state on record is that of the first one."""
    other = COUNTING._replace(init=lambda key, data: (jnp.zeros(()), jnp.zeros(2)), fit=lambda key, state, data: state)
    other = other._replace(predict=lambda state, x: COUNTING.predict(state[0], x))
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            campaign = open_campaign(kept, learner=other)
    assert campaign.num_labeled == 4
    told(campaign)
    assert same(campaign, open_campaign(kept, learner=other))


def test_a_record_without_an_opening_still_opens(kept):
    """As written by earlier versions: no digests, and a state by number."""
    events = [{k: v for k, v in event.items() if k != "digests"} for event in kept.events if event["kind"] != "open"]
    number, arrays = kept.state
    fresh = open_campaign()._now
    parts = {}
    for when in ("after", "before"):
        own = lambda name, when=when: {
            key.removeprefix(f"{name}.{when}."): leaf
            for key, leaf in arrays.items()
            if key.startswith(f"{name}.{when}.")
        }
        parts[when] = (unpack_tree(own("state"), fresh.state), unpack_tree(own("memory"), fresh.memory))
    old = Kept(events, (number, pack_tree((parts["after"], parts["before"]))))
    with pytest.warns(UserWarning, match="comes from an earlier version"):
        campaign = open_campaign(old)
    assert same(campaign, open_campaign(kept))
    with pytest.raises(ValueError, match=r"is not the row|others differ"):
        open_campaign(old, x=X[::-1])


def test_added_rows_belong_to_the_record():
    record = Kept()
    campaign = open_campaign(record, x=X[:200], pool_capacity=N)
    told(campaign)
    campaign.add(X[200:230])
    campaign.add(X[230:240])
    told(campaign)
    assert same(campaign, open_campaign(record, x=X[:240], pool_capacity=N))
    with pytest.raises(ValueError, match=r"is of 240 rows, but only 200 rows were handed in; .* the 40 added later"):
        open_campaign(record, x=X[:200], pool_capacity=N)
    with pytest.raises(ValueError, match="others differ"):
        open_campaign(record, x=np.concatenate([X[:235], X[236:241]]), pool_capacity=N)


def test_a_longer_pool_goes_on(kept):
    """Rows behind the old ones, and room for more: as if they had been there all along and never been picked."""
    x = np.concatenate([X, X[:20] + 2])
    longer = open_campaign(kept, x=x, pool_capacity=N + 50)
    assert longer.pending.tolist() == asked(kept)[-2:]
    assert kept.events[-1]["kind"] == "open"
    longer.ask(2)
    with pytest.raises(ValueError, match="is of 320 rows, but only 300"):
        open_campaign(kept)


def test_more_capacity_asks_as_a_fresh_campaign_would():
    """A Gaussian process, whose state has the shape of the capacity."""
    learner, query = gp_regression(process(RBF(lengthscale=0.3), noise=0.1)), by_score(epistemic_variance, best)
    record, options = Kept(), {"learner": learner, "query": query, "x": X[:40]}
    campaign = open_campaign(record, capacity=4, **options)
    told(campaign)
    told(campaign)
    with pytest.raises(ValueError, match="open with a larger capacity"):
        campaign.ask(1)
    fresh = open_campaign(capacity=8, **options)
    fresh.tell(campaign.indices, campaign.labels)
    assert open_campaign(record, capacity=8, **options).ask(2).tolist() == fresh.ask(2).tolist()


def test_a_saved_array_fills_the_corner_of_a_larger_one():
    saved = pack_tree({"a": jnp.ones((2, 2)), "b": jax.random.key(1), "c": jnp.arange(2)})
    found = unpack_tree(saved, {"a": jnp.zeros((3, 4)), "b": jax.random.key(0), "c": jnp.full(4, 9)})
    assert found["a"].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert found["b"] == jax.random.key(1)
    assert found["c"].tolist() == [0, 1, 9, 9]


@pytest.mark.parametrize(
    "like", [jnp.zeros(1), jnp.zeros((2, 1)), jnp.zeros(2, int), (jnp.zeros(2), jnp.zeros(2)), (), jnp.zeros(())]
)
def test_a_state_of_another_shape_is_refused(like):
    with pytest.raises(ValueError, match="resume with the same learner and query"):
        unpack_tree(pack_tree(jnp.zeros(2)), like)


def killed_after_the_state(record):
    """An ask whose state is saved, and whose event is not."""

    class Killed(Kept):
        def append(self, events):
            raise KeyboardInterrupt

    half = Killed(record.events, record.state)
    half.append, append = lambda events: None, half.append  # opening appends nothing
    campaign = open_campaign(half)
    half.append = append
    with pytest.raises(KeyboardInterrupt):
        campaign.ask(2)
    return Kept(half.events, half.state)


def test_killed_between_the_state_and_the_event(kept):
    """State and memory go with the events: the fit of an ask that was never written does not count."""
    after = killed_after_the_state(kept)
    assert after.state[0] == kept.state[0] + 1
    again, whole = open_campaign(after), open_campaign(kept)
    assert same(again, whole)
    assert again.ask(2).tolist() == whole.ask(2).tolist()


def test_files_of_two_moments_are_refused(kept):
    with pytest.raises(ValueError, match="do not belong together"):
        open_campaign(Kept(kept.events[:3], kept.state))


def test_a_skipped_row_that_is_answered_counts_as_covered(kept):
    """Its neighbors must not be asked for again."""
    campaign = open_campaign(kept)
    campaign.skip(campaign.pending)
    assert campaign.pending.tolist() == []
    row = campaign._now.book.log.indices[5]
    campaign.tell([row], [0.0])
    assert campaign._now.book.log.status[4:6].tolist() == [SKIPPED, ANSWERED]
    assert same(campaign, open_campaign(kept))


def test_streamed_from_disk_or_in_memory_is_one_record(tmp_path, kept):
    np.save(tmp_path / "x.npy", X)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="is not the row that the record knows"):
        open_campaign(kept, x=on_disk[::-1], over=streamed(100))
    assert open_campaign(kept, x=on_disk, over=streamed(100)).num_labeled == 4


def forest_learner():
    """A random forest of another library; its state is no array."""
    rows = lambda data: np.asarray(data.weight) > 0

    def fit(key, state, data):
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        return RandomForestClassifier(5, random_state=seed).fit(
            np.asarray(data.x)[rows(data)], np.asarray(data.y)[rows(data)]
        )

    def predict(state, x):
        return jnp.log(jnp.stack([jnp.asarray(tree.predict_proba(x)) for tree in state.estimators_], 1) + 1e-9)

    return Learner(lambda key, data: None, fit, predict)


@pytest.mark.slow
def test_a_model_of_another_library_is_recorded(tmp_path):
    """Killed behind every call, a campaign ends as one that never stopped: the model is fitted anew from the labels."""
    options = {"capacity": 20, "num_classes": 2, "over": host()}
    labels, start = (Y > 0).astype(int), [0, 1, 2, 3, 4, 5]
    assert len(set(labels[start])) == 2
    steps = [
        lambda c: c.tell(start, labels[start]),
        lambda c: c.tell(rows := c.ask(2), labels[rows]),
        lambda c: c.skip(c.ask(2)[:1]),
        lambda c: c.tell(c.pending, labels[c.pending]),
        lambda c: c.ask(2),
    ]
    learner, query = forest_learner(), by_score(bald, best)
    whole = Campaign(KEY, learner, query, X, **options)
    for step in steps:
        step(whole)
    for step in steps:
        with open_record(tmp_path, "forest", {}) as record:
            campaign = Campaign(KEY, learner, query, X, record=record, **options)
            step(campaign)
    for name in ("indices", "labels", "pending"):
        np.testing.assert_array_equal(getattr(campaign, name), getattr(whole, name))


def test_replay_asks_jax_for_nothing(monkeypatch):
    """However many events there are, opening does the same work on the device."""
    record = Kept()
    campaign = open_campaign(record, capacity=N, query=QUERY)
    for row in range(N - 10):
        campaign.tell([row], [0.5])
    bind, calls = jax.extend.core.Primitive.bind, []
    monkeypatch.setattr(jax.extend.core.Primitive, "bind", lambda *a, **k: calls.append(1) or bind(*a, **k))
    numbers = []
    for stop in (10, len(record.events)):
        calls.clear()
        again = open_campaign(Kept(record.events[:stop]), capacity=N)
        numbers.append(len(calls))
    assert numbers[0] == numbers[1] > 0
    assert same(again, campaign)
