"""Cheap campaigns for tests: a learner that counts its fits and costs nothing, and a record in memory."""

import jax
import jax.numpy as jnp
import numpy as np

from bal.acquisition import epistemic_variance
from bal.loop import Campaign
from bal.query import by_score, remembered
from bal.records import Record
from bal.records.encoding import plain
from bal.selection import best
from bal.typing import Gaussian, Learner

KEY = jax.random.key(5)
N = 300
X = np.random.default_rng(3).uniform(size=(N, 2)).astype(np.float32)
Y = X[:, 0] - X[:, 1]


def _fit(key, state, data):
    return state + 1 + jnp.sum(data.y * data.weight)


def _predict(state, x):
    """Variances that depend on the row and on all fits so far."""
    variance = 2 + jnp.sin(9 * (x @ jnp.stack([state, 1 + state])))[:, None]
    return Gaussian(jnp.zeros_like(variance), variance, jnp.ones_like(variance))


COUNTING = Learner(lambda key, data: jnp.zeros(()), _fit, _predict)
QUERY = remembered(by_score(epistemic_variance, best), num_candidates=50)


class Kept(Record):
    """A record in memory: what is appended comes back as it would from disk."""

    done = False
    events = ()

    def __init__(self, events=(), state=None):
        self.events, self.state = list(events), state

    def append(self, events):
        taken = [plain(event, "event") for event in events]
        self.events = self.events + taken
        return

    def save_state(self, number, arrays):
        self.state = (number, {name: np.array(leaf) for name, leaf in arrays.items()})
        return

    def load_state(self):
        return self.state

    def copy(self):
        return Kept(self.events, self.state)


def open_campaign(record=None, **changes):
    arguments = {"key": KEY, "learner": COUNTING, "query": QUERY, "x": X, "capacity": 100, "record": record, **changes}
    return Campaign(**arguments)


def told(campaign, batch_size=2):
    """Ask and tell."""
    rows = campaign.ask(batch_size)
    campaign.tell(rows, Y[rows])
    return rows.tolist()


def same(one, two):
    """All that two campaigns know is equal, but for the last selection, which is not kept."""
    leaves, others = (jax.tree.leaves(campaign._now._replace(selection=None)) for campaign in (one, two))
    return all(np.array_equal(a, b) for a, b in zip(leaves, others, strict=True))
