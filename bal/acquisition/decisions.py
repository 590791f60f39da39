"""What a label is worth to decisions about target rows: the loss that it is expected to take off them.

Each possible label of a row reweights the K draws by its likelihood, ``w_k ∝ p_kc``, and so the predictions for the
targets: nothing is fitted again. For the logarithmic loss the expected drop is `bal.acquisition.epig`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_draws, check_log_probs, check_matrix, target_weights
from bal.method import method
from bal.numerics import defined, dot, in_row_blocks, rows_per_block
from bal.numerics.divergence import JOINT_BYTES
from bal.typing import Values


def expected_error_reduction(
    log_probs: Float[Array, "N K C"],
    target_log_probs: Float[Array, "M _ T"],
    weight: Float[Array, "M"] | None = None,
    *,
    budget: int = JOINT_BYTES,
) -> Float[Array, "N"]:
    """Expected drop of the share of targets that are classified wrongly, ``Σ_z w_z (E_y max_t p(t | y) - max_t p̄_t)``.

    Of the zero-one loss, by the model's own predictions. Between 0 and ``1 - 1/T``; exactly 0 where no label of the row
    would change the class predicted for any target, and so for most rows of a pool: these tie, and ties go to the
    first. `value_of_information` is this with any other utility, `epig` with the logarithmic loss.

    Use it when the share of right classes at given inputs is what counts, and labels are few enough to change it;
    `epig` tells apart also the rows that this puts at 0.

    Args:
      log_probs, target_log_probs: predictions by the same draws.
      weight: importance of each target; normalized here. All equal unless given.
      budget: bytes of one block of the joint of rows and targets; changes speed only.

    Raises:
      ValueError: pool and targets have different numbers of draws.

    >>> pool = jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.4], [0.7, 0.3]]]))
    >>> [round(score, 4) for score in jax.jit(expected_error_reduction)(pool, pool[:1]).tolist()]
    [0.5, 0.05]

    Roy and McCallum 2001, "Toward Optimal Active Learning through Sampling Estimation of Error Reduction".
    """
    check_log_probs("expected_error_reduction", target_log_probs, "targets")
    utility = jnp.eye(target_log_probs.shape[-1], dtype=target_log_probs.dtype)
    return _expected_gain("expected_error_reduction", utility, log_probs, target_log_probs, weight, budget)


@method
def value_of_information(utility: Values) -> Callable[..., Float[Array, "N"]]:
    """Expected gain of utility at the targets, ``Σ_z w_z (E_y max_a E[U(a, t) | y] - max_a E[U(a, t)])``.

    ``value_of_information(utility)(log_probs, target_log_probs, weight)``: for each target one of A actions is taken,
    the best for what is believed of its class t. At least 0, in the unit of the utility; exactly 0 where no label would
    change an action. The identity gives `expected_error_reduction`.

    Use it when errors have prices: a case that is missed against one that is looked at in vain. Labels are worth asking
    for where this is above their cost.

    Args:
      utility: of each action in each class, ``[A, T]``; losses with their sign turned.

    Raises:
      ValueError: another number of classes than the targets have; different numbers of draws.

    >>> pool = jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]))
    >>> missed_costs_ten = [[0.0, -10.0], [-1.0, 0.0]]
    >>> jax.jit(value_of_information(missed_costs_ten))(pool, pool).item()
    0.5

    Howard 1966, "Information Value Theory"; Roy and McCallum 2001.
    """
    table = utility if isinstance(utility, jax.Array) else np.asarray(utility, np.float64)
    check_matrix("value_of_information", "a utility [actions, classes]", table)

    def gain(
        log_probs: Float[Array, "N K C"],
        target_log_probs: Float[Array, "M _ T"],
        weight: Float[Array, "M"] | None = None,
        *,
        budget: int = JOINT_BYTES,
    ) -> Float[Array, "N"]:
        check_log_probs("value_of_information", target_log_probs, "targets")
        num_classes = target_log_probs.shape[-1]
        if table.shape[1] != num_classes:
            raise ValueError(
                f"value_of_information needs a utility [actions, {num_classes} classes]; got shape {table.shape}"
            )
        values = jnp.asarray(table, target_log_probs.dtype)
        return _expected_gain("value_of_information", values, log_probs, target_log_probs, weight, budget)

    return gain


def _expected_gain(
    name: str, utility: Float[Array, "A T"], log_probs: Any, target_log_probs: Any, weight: Any, budget: int
) -> Float[Array, "N"]:
    check_log_probs(name, log_probs)
    num_draws, num_classes = log_probs.shape[1:]
    check_draws(num_draws, target_log_probs.shape[1])
    value = dot(jnp.exp(target_log_probs), utility.T)
    best = value.mean(1).argmax(-1)[:, None, None]
    advantage = value - jnp.take_along_axis(value, best, 2)  # over the action that is the best before the label
    num_targets, _, num_actions = value.shape
    tilt = advantage.transpose(1, 0, 2).reshape(num_draws, -1) / num_draws
    weight = target_weights(name, weight, num_targets, log_probs.dtype)

    def block(some: Float[Array, "r K C"]) -> Float[Array, "r"]:
        gain = dot(jnp.exp(some).transpose(0, 2, 1), tilt).reshape(-1, num_classes, num_targets, num_actions)
        return defined(jnp.sum(gain.max(-1).sum(1) * weight[None], 1), gain.sum((1, 2, 3)))

    row_bytes = num_classes * tilt.shape[1] * tilt.dtype.itemsize
    return in_row_blocks(block, log_probs, rows_per_block(row_bytes, budget))
