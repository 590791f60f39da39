"""T-Few: three losses of a language model that has to rank a few answers, and the ranking itself.

All are functions of the log probability of each token of each answer, ``log_probs [n, C, T]``, given the prompt and the
tokens before it (`bal.backbones.log_probabilities`), with a mask for padding, which counts nowhere.

Liu, Tam, Muqeeth, Mohta, Huang, Bansal and Raffel 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper
than In-Context Learning".
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

OFFICIAL_EPSILON = 1e-2
"""What the official code adds inside the logarithm of the unlikelihood; the paper does not."""


def beta(log_probs: Float[Array, "n C T"], mask: Bool[Array, "n C T"]) -> Float[Array, "n C"]:
    """Mean log probability of an answer's tokens: ``β(x, y) = (1 / T) Σ_t log p(y_t | x, y_<t)``.

    Use it to rank answers of different lengths; the highest is the prediction (`rank`).

    >>> beta(jnp.array([[[-1.0, -3.0], [-1.0, 0.0]]]), jnp.array([[[True, True], [True, False]]])).tolist()
    [[-2.0, -1.0]]
    """
    return _sum(log_probs, mask) / jnp.maximum(mask.sum(-1), 1)


def rank(log_probs: Float[Array, "n C T"], mask: Bool[Array, "n C T"]) -> Float[Array, "n C"]:
    """Rank classification as log probabilities: ``log softmax_c β(x, y_c)``.

    An answer without a token, where a prompt has fewer than C, is none: ``-inf``; all are alike in a row without any.

    Use it to make predictions ``[n, 1, C]`` of a language model.

    >>> rank(jnp.array([[[-1.0], [-1.0]]]), jnp.ones((1, 2, 1), bool)).shape
    (1, 2)
    """
    there = mask.any(-1)
    there = there | ~there.any(-1, keepdims=True)
    return jax.nn.log_softmax(jnp.where(there, beta(log_probs, mask), -jnp.inf), -1)


def lm_loss(log_probs: Float[Array, "n C T"], mask: Bool[Array, "n C T"], y: Int[Array, "n"]) -> Float[Array, "n"]:
    """``L_LM = -(1 / T) Σ_t log p(y_t | x, y_<t)`` of the right answer: minus its β.

    Use it alone as the plain fine-tuning of a language model.

    >>> lm_loss(jnp.array([[[-1.0], [-2.0]]]), jnp.ones((1, 2, 1), bool), jnp.array([1])).tolist()
    [2.0]
    """
    return -jnp.take_along_axis(beta(log_probs, mask), y[:, None], 1)[:, 0]


def unlikelihood_loss(
    log_probs: Float[Array, "n C T"], mask: Bool[Array, "n C T"], y: Int[Array, "n"], epsilon: float = 0.0
) -> Float[Array, "n"]:
    """``L_UL = -Σ_n Σ_t log(1 - p(ŷ_t | x, ŷ_<t)) / Σ_n T_n`` over the tokens of all wrong answers.

    Use it to push wrong answers down; a probability of 1 costs ``-log`` of the smallest number above 0 rather than
    infinity.

    Args:
      log_probs, mask, y: tokens of all answers, and which answer is right.
      epsilon: added to ``1 - p``; `OFFICIAL_EPSILON` in the published code, 0 in the paper.

    >>> halves = jnp.full((1, 2, 3), jnp.log(0.5))
    >>> unlikelihood_loss(halves, jnp.ones((1, 2, 3), bool), jnp.array([0])).round(4).tolist()
    [0.6930999755859375]
    """
    wrong = mask & jnp.broadcast_to(_wrong(mask, y)[..., None], mask.shape)
    safe = jnp.where(wrong, log_probs, -1.0)
    rest = jnp.maximum(-jnp.expm1(jnp.minimum(safe, 0.0)) + epsilon, jnp.finfo(safe.dtype).tiny)
    each = jnp.where(wrong, -jnp.log(rest), 0.0)
    return each.sum((1, 2)) / jnp.maximum(wrong.sum((1, 2)), 1)


def length_normalized_loss(
    log_probs: Float[Array, "n C T"], mask: Bool[Array, "n C T"], y: Int[Array, "n"]
) -> Float[Array, "n"]:
    """``L_LN = -log(exp β(x, y) / Σ_c exp β(x, y_c))``: the cross entropy of the ranking.

    With equal β and n wrong answers it is log(n + 1).

    Use it to train what `rank` predicts.

    >>> length_normalized_loss(jnp.zeros((1, 4, 2)), jnp.ones((1, 4, 2), bool), jnp.array([2])).round(4).tolist()
    [1.386299967765808]
    """
    return -jnp.take_along_axis(rank(log_probs, mask), y[:, None], 1)[:, 0]


def tfew_loss(
    log_probs: Float[Array, "n C T"],
    mask: Bool[Array, "n C T"],
    y: Int[Array, "n"],
    *,
    unlikelihood: bool = True,
    length_normalized: bool = True,
    epsilon: float = 0.0,
) -> Float[Array, "n"]:
    """``L_LM + L_UL + L_LN``, one number a row; the last two may be left out, as in the paper's ablation.

    Use it to tune an adapter of a language model for tasks with a few answers.

    Args:
      log_probs, mask, y: tokens of all answers, and which answer is right.
      unlikelihood, length_normalized: with or without these terms.
      epsilon: of `unlikelihood_loss`.

    >>> tokens, mask, y = jnp.full((1, 2, 1), jnp.log(0.5)), jnp.ones((1, 2, 1), bool), jnp.array([0])
    >>> round(float(tfew_loss(tokens, mask, y)[0] / jnp.log(2)), 3)
    3.0
    """
    total = lm_loss(log_probs, mask, y)
    if unlikelihood:
        total = total + unlikelihood_loss(log_probs, mask, y, epsilon)
    if length_normalized:
        total = total + length_normalized_loss(log_probs, mask, y)
    return total


def tfew_optimizer(num_steps: int = 1000, learning_rate: float = 3e-3) -> optax.GradientTransformation:
    """The recipe: Adafactor at 3e-3, 6 % of warm-up, then a linear decay to zero; gradients clipped at norm 1.

    Use it with minibatches of 8 and no tuning, as published; the clipping is the official code's.

    >>> moments = jax.eval_shape(tfew_optimizer(10).init, {"scale": jnp.ones(3)})
    >>> len(jax.tree.leaves(moments)) > 0
    True
    """
    warm = max(1, round(0.06 * num_steps))
    schedule = optax.join_schedules(
        [
            optax.linear_schedule(0.0, learning_rate, warm),
            optax.linear_schedule(learning_rate, 0.0, max(num_steps - warm, 1)),
        ],
        [warm],
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adafactor(schedule))


def _sum(log_probs: Float[Array, "n C T"], mask: Bool[Array, "n C T"]) -> Float[Array, "n C"]:
    return jnp.where(mask, log_probs, 0.0).sum(-1)


def _wrong(mask: Bool[Array, "n C T"], y: Int[Array, "n"]) -> Bool[Array, "n C"]:
    shape = mask.shape[:2]
    return jnp.broadcast_to(jnp.arange(shape[1]), shape) != jnp.broadcast_to(y[:, None], shape)
