"""What sets of labeled rows are worth: many small models, each trained on a set of its own.

A reconstruction (L) from the abstract of Ding et al.: how the paper draws its sets is not known.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.acquisition.kinds import check_log_probs
from bal.learners.settings import named
from bal.method import method
from bal.query.rows import predict
from bal.typing import Data, Learner, Posterior, PRNGKey

Utility = Callable[[PRNGKey, Float[Array, "L E"], Data, Float[Array, "S L"], Float[Array, "L"]], Float[Array, "S"]]
"""``key, rows, data, masks, validation -> utility``: what S sets of the labeled rows of `data` are worth, measured on
the rows of positive `validation`; `rows` are the features of each beside its label."""


def draw_subsets(
    key: PRNGKey,
    rows: Float[Array, "L E"],
    weight: Float[Array, "L"],
    sizes: Int[Array, "T"],
    num_subsets: int,
    tilt: float = 1.0,
) -> Float[Array, "T S L"]:
    """S sets of each size, of distinct rows of positive weight, as masks of 0 and 1.

    Rows are drawn without replacement with probability proportional to ``exp(t u·z)``, with z the standardized row, u a
    random direction of length one, and t uniform below `tilt`, both drawn for every set: sets lean to a side, as a
    batch that is picked does, so that the good and the bad ones are further apart. ``tilt=0`` is uniform. A set that
    is larger than what there is has all of it.

    >>> draw = jax.jit(draw_subsets, static_argnums=4)
    >>> masks = draw(jax.random.key(0), jnp.eye(4), jnp.array([1.0, 1.0, 1.0, 0.0]), jnp.array([1, 2, 9]), 5)
    >>> masks.sum(2)[:, 0].tolist(), masks[:, :, 3].sum().item()
    ([1.0, 2.0, 3.0], 0.0)
    """
    real = weight > 0
    key_direction, key_strength, key_noise = jax.random.split(key, 3)
    shape = len(sizes), num_subsets
    share = jnp.where(real, 1.0, 0.0)[:, None] / jnp.maximum(real.sum(), 1)
    rows = jnp.where(real[:, None], rows, 0.0)
    centered = rows - (share * rows).sum(0, keepdims=True)
    z = centered / jnp.sqrt(jnp.maximum((share * centered**2).sum(0, keepdims=True), 1e-6))
    direction = jax.random.normal(key_direction, (*shape, rows.shape[1]))
    direction /= jnp.linalg.norm(direction, axis=-1, keepdims=True)
    strength = tilt * jax.random.uniform(key_strength, (*shape, 1))
    noise = jax.random.gumbel(key_noise, (*shape, len(rows)))
    leaning = jnp.where(real[None, None], strength * jnp.einsum("tse,le->tsl", direction, z) + noise, -jnp.inf)
    rank = jnp.argsort(jnp.argsort(-leaning, -1), -1)
    return jnp.where((rank < sizes[:, None, None]) & real[None, None], 1.0, 0.0)


def distributions(y: Array, num_classes: int) -> Float[Array, "L C"]:
    """Labels as probabilities of classes: class numbers ``[L]`` as zeros and a one, soft labels as they are.

    >>> distributions(jnp.array([1]), 3).tolist()
    [[0.0, 1.0, 0.0]]
    """
    return y if y.ndim == 2 else jax.nn.one_hot(y, num_classes)


@method
def trained(learner: Learner) -> Utility:
    """``u(S)``: accuracy of `learner`, trained on S, on the rows of positive `validation`.

    In [0, 1]: the weighted share of rows whose class has the highest mean probability; predictions of NaN are wrong.
    All models have one key, so that they differ by their rows alone. Cost: one training a set, up to 32 side by side.

    Use it when a model is small enough to be trained some hundred times.

    Args:
      learner: a classifier that JAX can trace; rows outside a set have weight 0.

    Returns:
      A function ``key, rows, data, masks, validation -> utility``, see `Utility`.

    Raises:
      TypeError: what is no learner, or one that JAX cannot trace.

    >>> import numpy as np
    >>> from bal.learners import ensemble, linear
    >>> utility = trained(ensemble(linear(2), 1, num_steps=3))
    >>> data = Data(np.ones((4, 2)), np.array([0, 1, 0, 1]), np.ones(4))
    >>> jax.eval_shape(utility, jax.random.key(0), jnp.ones((4, 4)), data, jnp.ones((3, 4)), jnp.ones(4)).shape
    (3,)
    """
    if not isinstance(learner, Learner):
        raise TypeError(f"expected a Learner, got {named(learner)}; ensemble(linear(num_classes), num_members=1), say")
    if learner.host:
        raise TypeError("trained needs a learner that JAX can trace, got one of plain Python; use ensemble(...), say")

    def utility(
        key: PRNGKey,
        rows: Float[Array, "L E"],
        data: Data,
        masks: Float[Array, "S L"],
        validation: Float[Array, "L"],
    ) -> Float[Array, "S"]:
        del rows
        key_init, key_fit = jax.random.split(key)

        def accuracy(mask: Array) -> Array:
            chosen = data._replace(weight=data.weight * mask)
            state = learner.fit(key_fit, learner.init(key_init, chosen), chosen)
            log_probs = predict(Posterior(state, learner), data.x)
            check_log_probs("trained", log_probs)
            likely = jax.nn.logsumexp(log_probs, 1).argmax(-1)
            hit = jnp.take_along_axis(distributions(data.y, log_probs.shape[2]), likely[:, None], 1)[:, 0]
            hit = jnp.where(jnp.isnan(log_probs).any((1, 2)), 0.0, hit)
            return jnp.where(validation > 0, validation * hit, 0.0).sum() / jnp.maximum(validation.sum(), 1e-12)

        side_by_side = max(size for size in range(1, 33) if len(masks) % size == 0)  # no remainder to compile
        return jax.lax.map(accuracy, masks, batch_size=side_by_side)

    return utility
