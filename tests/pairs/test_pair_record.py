"""A campaign of pairs on record: cut off anywhere it goes on to the same bits, and nothing is lost or told twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_pairs import LINEAR, F, K, X

from bal.pairs import Items, PairCampaign, pair_bald, thurstone
from bal.records import open_record


def moved(key, state, data):
    lean = (data.weight * (2 * data.y - 1)) @ (data.x[:, 0] - data.x[:, 1])
    return 0.9 * state + 0.1 * lean[None] + 0.2 * jax.random.normal(key, (K, F))


MOVING = LINEAR._replace(fit=moved)
"""Other after every fit, and for every key and fit before: what begins anew is found out."""
QUERY = pair_bald()
STEPS = ("ask", "tell", "other", "ask", "tell", "ask", "ask", "tell")


def opened(record=None, **changes):
    known = {"key": jax.random.key(0), "learner": MOVING, "query": QUERY, "items": Items(X), "capacity": 16}
    return PairCampaign(**(known | changes), record=record)


def step(campaign, what):
    if what == "ask":
        return campaign.ask(2).tolist()
    pairs = campaign.pending[::-1, ::-1] if what == "tell" else np.array([[5, 2], [0, 1]])
    return campaign.tell(pairs, np.arange(len(pairs)) % 2)


@pytest.fixture(scope="module")
def whole():
    """What an uninterrupted campaign without a record asks, and what it comes to."""
    campaign = opened()
    asked = [step(campaign, what) for what in STEPS]
    return asked, campaign.answers, campaign.rewards()


class Killed(BaseException):
    """The process ends."""


@pytest.mark.parametrize("written", [False, True], ids=["before the event is written", "after"])
def test_cut_off_in_any_step_it_goes_on_to_the_same_bits(tmp_path, monkeypatch, whole, written):
    for number, what in enumerate(STEPS):
        with open_record(tmp_path, f"cut-{number}", {}) as record:
            campaign = opened(record)
            asked = [step(campaign, earlier) for earlier in STEPS[:number]]
            append = record.append

            def cut(events, append=append):
                if written:
                    append(events)
                raise Killed

            monkeypatch.setattr(record, "append", cut)
            with pytest.raises(Killed):
                step(campaign, what)
            monkeypatch.undo()
        with open_record(tmp_path, f"cut-{number}", {}) as record:
            campaign = opened(record)
            if written:  # what was asked waits for its answer
                asked.append(campaign.pending[-2:].tolist() if what == "ask" else None)
            asked += [step(campaign, later) for later in STEPS[number + written :]]
            assert asked == whole[0], number
            for one, other in zip(campaign.answers, whole[1]):
                np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(campaign.rewards(), whole[2])


def test_a_record_is_that_of_its_items_key_and_methods_and_may_have_more_room(tmp_path):
    with open_record(tmp_path, "pairs", {}) as record:
        campaign = opened(record)
        first = campaign.ask(2)
        campaign.tell(first, [1, 0])
        for change, words in (
            ({"items": Items(X + 1)}, "other items"),
            ({"items": Items(X, np.zeros(len(X), int))}, "other items"),
            ({"items": Items(X[:5])}, "num_items 12, but got 5"),
            ({"key": jax.random.key(1)}, "the record is of key"),
            ({"learner": LINEAR}, "goes on with its own learner alone, but this differs"),
            ({"query": pair_bald(rank=3)}, "its own query alone"),
            ({"comparison": thurstone}, "its own comparison alone"),
            ({"capacity": 1}, "larger capacity"),
        ):
            with pytest.raises(ValueError, match=words):
                opened(record, **change)
        again = opened(record, capacity=20)
        np.testing.assert_array_equal(again.answers[0], first)
        assert repr(again).startswith("PairCampaign of 12 items: 2 answers, 0 pairs pending; 2 of 20 places taken")
        assert f"[{first[0][0]}, {first[0][1]}]" in again._repr_html_()
    with open_record(tmp_path, "other", {}) as record:
        record.append([{"kind": "ask", "rows": [1], "scores": [0.5], "queries": 1}])
        with pytest.raises(ValueError, match="does not hold a campaign of pairs"):
            opened(record)
    with pytest.raises(TypeError, match="record"):
        opened("folder")


def test_answers_from_threads_are_all_kept(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with open_record(tmp_path, "pairs", {}) as record:
        campaign = opened(record)
        told = [np.array([[a, a + 1]]) for a in range(11)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda pair: campaign.tell(pair, [1]), told))
        assert campaign.num_answers == 11
        again = opened(record)
    np.testing.assert_array_equal(again.answers[0], campaign.answers[0])
    assert sorted(again.answers[0][:, 0].tolist()) == [*range(11)]
    assert jnp.isfinite(again.rewards()).all()
