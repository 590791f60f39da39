"""Features without labels: scikit-learn's components, the contrastive loss by loops, and what it makes of noise."""

import jax
import numpy as np
import optax
import pytest
from sklearn.decomposition import PCA

from bal.bilevel import contrastive, principal_components
from bal.bilevel.embedding import contrast
from bal.learners import jitter, linear, mlp

RNG = np.random.default_rng(0)


def test_components_are_those_of_scikit_learn():
    x, other = (RNG.normal(size=(n, 5)).astype(np.float32) @ np.diag([5.0, 3, 2, 1, 0.5]) + 7 for n in (30, 4))
    theirs = PCA(2, whiten=True).fit(x)
    ours, wanted = (np.asarray(f(other)) for f in (principal_components(x, 2), theirs.transform))
    signs = np.sign(ours[0] / wanted[0])
    np.testing.assert_allclose(ours * signs, wanted * np.sqrt(30 / 29), rtol=1e-3, atol=1e-3)  # variance over N - 1
    with pytest.raises(ValueError, match="have no 6 components"):
        principal_components(x, 6)
    constant = np.ones((3, 2), np.float32)
    assert (np.asarray(principal_components(constant, 1)(constant)) == 0).all()


def test_contrastive_loss_is_that_of_the_paper():
    first, second = RNG.normal(size=(2, 5, 3))
    both = [row / np.linalg.norm(row) for row in [*first, *second]]

    def missed(i, j):
        others = [np.exp(both[i] @ both[k] / 0.5) for k in range(10) if k != i]
        return -np.log(np.exp(both[i] @ both[j] / 0.5) / sum(others))

    wanted = [(missed(i, i + 5) + missed(i + 5, i)) / 2 for i in range(5)]
    np.testing.assert_allclose(jax.jit(contrast, static_argnums=2)(first, second, 0.5), wanted, rtol=1e-5)


@pytest.mark.slow
def test_contrastive_features_forget_what_the_augmentation_changes():
    """Of two inputs one is drawn anew by the augmentation: the features follow the other."""
    x = RNG.normal(size=(60, 2)).astype(np.float32)

    def change(key, x):
        return x.at[:, 0].set(jax.random.normal(key, (len(x),)))

    def share(num_steps):
        sizes = {"optimizer": optax.adam(1e-2), "num_steps": num_steps, "minibatch_size": 32}
        find = contrastive(x, mlp((16,), 4), change, **sizes)
        far = [np.linalg.norm(np.asarray(find(x + np.float32(step)) - find(x)), axis=1).mean() for step in np.eye(2)]
        return far[0] / far[1]

    assert share(400) < 0.7 * share(0)


def test_settings_out_of_range_are_refused():
    x = np.ones((4, 2), np.float32)
    with pytest.raises(ValueError, match="temperature must be positive"):
        contrastive(x, linear(2), jitter(0.1), temperature=0.0)
