"""What makes proxies work: a small network and a big one are unsure of the same digits."""

import jax
import numpy as np
import pytest
from scipy.stats import spearmanr

from bal.acquisition import predictive_entropy
from bal.datasets import digits
from bal.learners import ensemble, mlp
from bal.pool import make_pool
from bal.proxies import trained_on


@pytest.mark.slow
def test_entropies_of_proxy_and_target_are_correlated():
    """A proxy that has learned little, 16 units in 200 steps, is at 0.49."""
    x, y = np.asarray(digits().x, np.float32), np.asarray(digits().y, np.int32)
    rows = np.random.default_rng(0).permutation(len(y))[:150]
    others = np.setdiff1d(np.arange(len(y)), rows)
    small, big = ensemble(mlp((32,)), 1, num_steps=1000), ensemble(mlp((256, 256)), 1, num_steps=400)
    entropies = []
    for learner in (small, big):
        posterior = trained_on(jax.random.key(0), learner, make_pool(x), rows, y[rows])
        entropies.append(np.asarray(predictive_entropy(posterior.predict(x[others]))))
    assert spearmanr(*entropies).statistic > 0.5
