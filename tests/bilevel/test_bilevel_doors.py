"""What does not fit, at the doors of bilevel coresets and of features without labels."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.bilevel import (
    Targeted,
    bilevel,
    contrastive,
    embedded_by,
    nystrom,
    principal_components,
    softmax_coreset,
    weighted_coreset,
)
from bal.bilevel.embedding import finite_rows
from bal.kernels import rbf
from bal.learners import linear
from bal.selection import select

X = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
BAD = np.where(np.arange(6)[:, None] == 3, np.nan, X).astype(np.float32)
NUMBERS = jnp.arange(6) % 2


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: principal_components(np.zeros((0, 2)), 1), ValueError, "rows to learn from, got 0"),
        (lambda: principal_components(0 * X + np.inf, 1), ValueError, "none of them finite"),
        (lambda: nystrom(np.zeros((0, 2))), ValueError, "rows to draw landmarks from"),
        (lambda: contrastive(X, linear(2), abs, minibatch_size=1), ValueError, "minibatch_size must be at least 2"),
        (lambda: weighted_coreset(BAD, np.eye(2)[NUMBERS], 2), ValueError, "finite features and targets"),
        (lambda: select(X, None, softmax_coreset(), 2), ValueError, "works on Targeted"),
        (lambda: rbf(0.0), ValueError, "length must be positive"),
        (lambda: unwrap(embedded_by)(3), TypeError, "expected features.*got an object of type int"),
        (lambda: unwrap(bilevel)(3), TypeError, "expected a rule of targeted rows, got an object of type int"),
        (lambda: unwrap(bilevel)(kernel="rbf"), TypeError, r"expected a kernel.*ntk\(1\), say"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_class_numbers_are_no_targets():
    """Arrays of another rank: the check of types, which tests have, comes first; without it the sentence."""
    with pytest.raises(Exception, match=r"one_hot|targets"):
        jax.eval_shape(lambda: select(Targeted(X, NUMBERS), None, softmax_coreset(), 2))


def test_rows_that_are_not_finite_teach_nothing():
    np.testing.assert_array_equal(finite_rows(BAD), np.delete(X, 3, 0))
    found, wanted = (principal_components(rows, 2)(X) for rows in (BAD, np.delete(X, 3, 0)))
    np.testing.assert_array_equal(found, wanted)
    assert np.isfinite(found).all()
