"""A tiny experiment for tests of the loop: three clusters, a small ensemble, four rounds of two."""

import jax
import jax.numpy as jnp
import numpy as np

from bal.acquisition import bald
from bal.learners import ensemble, mlp
from bal.pool import make_pool
from bal.query import by_score
from bal.selection import best
from bal.typing import Learner, Setup, Task

KEY = jax.random.key(3)
N, CLASSES = 40, 3
Y = (jnp.arange(N) * 7) % CLASSES
X = jax.random.normal(jax.random.key(0), (CLASSES, 2))[Y] * 2 + jax.random.normal(jax.random.key(1), (N, 2))
POOL = make_pool(X)
TEST = (X[::2], Y[::2])
LEARNER = ensemble(mlp((8,), num_outputs=CLASSES), 3, num_steps=15, minibatch_size=8)
QUERY = by_score(bald, best)
SIZES = {"batch_size": 2, "num_rounds": 4, "num_initial": 4}


def evaluate(posterior, test):
    x, y = test
    log_probs = posterior.predict(x)
    probs = jnp.exp(log_probs).mean(1)
    return {"accuracy": (probs.argmax(-1) == y).mean(), "nll": -jnp.log(probs[jnp.arange(len(y)), y]).mean()}


def by_numpy(posterior, test):
    """What `evaluate` says, in plain Python."""
    probs = np.exp(np.asarray(posterior.predict(np.asarray(test[0])))).mean(1)
    own = probs[np.arange(len(probs)), np.asarray(test[1])]
    return {"accuracy": (probs.argmax(-1) == np.asarray(test[1])).mean(), "nll": -np.log(own).mean()}


def class_means(key, state, data):
    members = jax.nn.one_hot(data.y, len(state), axis=0) * data.weight[None, :]
    return members @ data.x / (1 + members.sum(1, keepdims=True))


def two_widths(means, x):
    """Two draws a row: how likely each class is by distance to its mean, for two widths."""
    squared = jnp.square(x[:, None, :] - means[None]).sum(-1)
    return jax.nn.log_softmax(-squared[:, None, :] * jnp.array([0.2, 1.0])[None, :, None], -1)


CENTERS = Learner(lambda key, data: jnp.zeros((CLASSES, 2)), class_means, two_widths)  # compiles in no time


def by_key_and_state(key, state, data):
    return class_means(key, state, data) + 0.1 * state + 0.3 * jax.random.uniform(key, state.shape)


MOVING = CENTERS._replace(init=lambda key, data: jax.random.uniform(key, (CLASSES, 2)), fit=by_key_and_state)
"""Nearly as quick, and other for every key and every fit before: no driver can mix them up unnoticed."""

TASK = Task(POOL, Y, TEST)
SETUP = Setup(LEARNER, QUERY, **SIZES, evaluate=evaluate)
