"""Batches for prediction: the greedy rule for what a batch of labels tells about each target's label.

The joint form of Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning"; its sampled form is the
partial-batch-label scheme of "ParBaLS" (arXiv 2510.09877), reconstructed from its abstract.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.epig import epig
from bal.method import method
from bal.numerics.divergence import JOINT_BYTES
from bal.selection.information.labelings import Configurations, add_row, no_labels
from bal.selection.kinds import check_draws
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, PRNGKey, Select


class EpigBatchState(NamedTuple):
    """The labelings of the picks so far, and the key that extends them."""

    key: PRNGKey
    configurations: Configurations


@method
def epig_batch(num_labelings: int = 32, budget: int = JOINT_BYTES) -> Select:
    """Greedy maximization of ``Σ_z w_z I(y_1 ... y_B; y_z)`` for rows ``log_probs [n, K, C]``, in nats.

    The gain of a row is its `epig` after the labels of the picks so far, averaged over labelings of these picks: each
    labeling reweights the K draws by its likelihood, and nothing is refitted. All labelings while
    ``C^b <= num_labelings`` (exact), then that many drawn from the joint prediction, the same for every row. Unlike
    `batchbald` the objective is not submodular: a gain may exceed an earlier one.

    ``candidates.context`` holds the targets, a pair of ``predictions [M, K, T]`` and ``weight [M]``, as
    `bal.query.targets` and its kin make them. A pick costs `num_labelings` times one `epig` over the rows, so put a
    shortlist before it.

    Raises:
      ValueError: fewer than one labeling; no targets.

    >>> import numpy as np
    >>> from bal.selection import select
    >>> rows = np.log([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.5, 0.5]], [[0.1, 0.9], [0.9, 0.1]]])
    >>> target, weight = rows[:1], np.ones(1)
    >>> select(None, None, epig_batch(), 2, log_probs=rows, context=(target, weight)).indices.tolist()
    [2, 0]
    """
    if num_labelings < 1:
        raise ValueError(f"epig_batch needs at least 1 labeling of the batch, got num_labelings={num_labelings}")

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        rows = candidates.rows
        check_draws("epig_batch", rows)
        if candidates.context is None:
            raise ValueError("epig_batch needs targets: give its stage a context, as bal.query.targets(x_target)")
        predictions, weight = candidates.context[0], candidates.context[1].astype(rows.dtype)

        def score(state: EpigBatchState) -> Float[Array, "n"]:
            configurations = state.configurations

            def add(number: Array, total: Array) -> Array:
                given = configurations.log_weight[number]
                gain = epig(rows, predictions, weight, log_draw_weight=given, budget=budget)
                return total + configurations.weight[number] * gain

            return jax.lax.fori_loop(0, configurations.count, add, jnp.zeros(len(rows), rows.dtype))

        def update(state: EpigBatchState, position: Array) -> EpigBatchState:
            key_row, key = jax.random.split(state.key)
            return EpigBatchState(key, add_row(key_row, state.configurations, rows[position]))

        return Greedy(EpigBatchState(key, no_labels(num_labelings, rows.shape[1], rows.dtype)), score, update)

    return greedy(rule)
