"""Programs of people who bring a model: as long as they may be, run as they stand."""

import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

PLACES = jax.random.normal(jax.random.key(0), (60, 6))
LABELS = jnp.arange(60) % 3
INPUTS = 0.3 * PLACES + 3 * jnp.eye(6)[LABELS]


class Net(nnx.Module):
    """A module as flax teaches it."""

    def __init__(self, size: int, outputs: int, *, rngs: nnx.Rngs):
        self.hidden, self.norm = nnx.Linear(size, 16, rngs=rngs), nnx.BatchNorm(16, momentum=0.9, rngs=rngs)
        self.dropout, self.out = nnx.Dropout(0.3, rngs=rngs), nnx.Linear(16, outputs, rngs=rngs)

    def __call__(self, x):
        return self.out(self.dropout(nnx.relu(self.norm(self.hidden(x)))))


OWN_NETWORK = """
from bal import make_pool, run_seeds, seed_keys, strategies
from bal.learners import mc_dropout, network
from bal.typing import Setup, Task

def evaluate(posterior, test):
    return {"accuracy": (jnp.exp(posterior.predict(test[0])).mean(1).argmax(-1) == test[1]).mean()}

learner = mc_dropout(network(Net, 6, 3), num_draws=4, num_steps=100, minibatch_size=8)
setup = Setup(learner, strategies.bald(), batch_size=5, num_rounds=2, num_initial=10, evaluate=evaluate)
runs = run_seeds(seed_keys(0, 2), Task(make_pool(x[:40]), y[:40], (x[40:], y[40:])), setup)
print(runs.log.metrics["accuracy"])
"""

OWN_ESTIMATOR = """
from sklearn.ensemble import RandomForestClassifier
from bal import Campaign, seed_keys, strategies
from bal.learners import from_sklearn
from bal.records import open_record
learner = from_sklearn(RandomForestClassifier(5), num_classes=3, by_member=True)
with open_record("runs", "flowers", {}) as record:
    campaign = Campaign(seed_keys(0, 1)[0], learner, strategies.bald(), x, capacity=40, num_classes=3, record=record)
    campaign.tell(rows := campaign.ask(6), y[rows])
"""


def lines(program: str) -> int:
    return len([line for line in program.splitlines() if line.strip()])


@pytest.mark.slow  # as a page of docs/, which runs
def test_ones_own_network_in_ten_lines():
    names = {"Net": Net, "x": INPUTS, "y": LABELS, "jnp": jnp}
    assert lines(OWN_NETWORK) <= 10
    exec(textwrap.dedent(OWN_NETWORK), names)
    accuracy = np.asarray(names["runs"].log.metrics["accuracy"])
    assert accuracy.shape == (2, 3)
    assert accuracy[:, -1].min() > 0.6  # of three classes, far apart
    assert not names["runs"].log.info["all_equal"].any()


@pytest.mark.slow  # as a page of docs/, which runs
def test_ones_own_estimator_in_eight_lines(tmp_path, monkeypatch):
    """Typed twice: the second time it goes on from the record, and asks for other rows."""
    monkeypatch.chdir(tmp_path)
    assert lines(OWN_ESTIMATOR) <= 8
    asked = []
    for labels in (6, 12):
        names = {"x": np.asarray(INPUTS), "y": np.asarray(LABELS)}
        exec(textwrap.dedent(OWN_ESTIMATOR), names)
        assert names["campaign"].num_labeled == labels
        asked += names["rows"].tolist()
    assert len(set(asked)) == 12
