"""What sets are worth without training on each: interpolation between those that were measured.

A reconstruction (L) from the abstract of Ding et al., which names an interpolation-based surrogate and no more.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.learned.subsets import Utility
from bal.learners.settings import check_count, named
from bal.method import method
from bal.query.rows import predict
from bal.typing import Data, Gaussian, Learner, Posterior, PRNGKey


def set_embedding(rows: Float[Array, "L E"], masks: Float[Array, "S L"]) -> Float[Array, "S E+1"]:
    """Mean of the rows of each set, and the logarithm of how many they are.

    >>> set_embedding(jnp.array([[1.0], [3.0], [8.0]]), jnp.array([[0.0, 1.0, 0.0]])).tolist()
    [[3.0, 0.0]]
    """
    size = jnp.maximum(masks.sum(1, keepdims=True), 1.0)
    return jnp.concatenate([jnp.matmul(masks, rows, precision="highest") / size, jnp.log(size)], 1)


@method
def interpolated(utility: Utility, num_measured: int, regression: Learner) -> Utility:
    """The same utility, measured on `num_measured` of the sets, evenly spread, and interpolated on the others.

    `regression` learns the measured utilities as a function of `set_embedding`; the others get its mean. Sets of all
    sizes are interpolated together. With as many measured as there are sets nothing is interpolated.

    Use it when a training takes longer than a row of a Gaussian process.

    Args:
      utility: what measures, as ``trained(learner)``.
      num_measured: how many sets are measured, over all sizes.
      regression: a learner of real numbers, as ``bal.learners.gp.gp_regression(...)``.

    Raises:
      ValueError: `num_measured` below 1.
      TypeError: a learner that does not predict a `Gaussian` (when called).

    >>> import jax
    >>> from bal.learners import bayesian_linear
    >>> size = lambda key, rows, data, masks, validation: masks.sum(1)
    >>> data, masks = Data(jnp.zeros((2, 1)), jnp.zeros(2), jnp.ones(2)), jnp.tril(jnp.ones((2, 2)))
    >>> half = interpolated(size, 2, bayesian_linear(noise=0.1, prior=1.0))
    >>> half(jax.random.key(0), data.x, data, masks, jnp.ones(2)).tolist()
    [1.0, 2.0]

    Ding et al. 2023, "Learning to Rank for Active Learning via Multi-Task Bilevel Optimization" (arXiv 2310.17044).
    """
    check_count("num_measured", num_measured)
    if not callable(utility) or not isinstance(regression, Learner):
        raise TypeError(f"expected a utility and a Learner, got {named(utility)} and {named(regression)}; trained(...)")

    def measured_or_not(
        key: PRNGKey,
        rows: Float[Array, "L E"],
        data: Data,
        masks: Float[Array, "S L"],
        validation: Float[Array, "L"],
    ) -> Float[Array, "S"]:
        some = np.linspace(0, len(masks) - 1, min(num_measured, len(masks))).round().astype(np.int32)
        found = utility(key, rows, data, masks[some], validation)
        if len(some) == len(masks):
            return found
        where = set_embedding(rows, masks)
        known = Data(where[some], found, jnp.ones_like(found))
        posterior = Posterior(regression.fit(key, regression.init(key, known), known), regression)
        guessed = predict(posterior, where)
        if not isinstance(guessed, Gaussian):
            raise TypeError(
                f"interpolated needs a learner of real numbers, but this one predicts {type(guessed).__name__}; use "
                "gp_regression"
            )
        return guessed.mean.mean(1).at[some].set(found)

    return measured_or_not
