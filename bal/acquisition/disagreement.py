"""How far the draw that disagrees most is from all of them."""

from jaxtyping import Array, Float

from bal.acquisition.kinds import check_log_probs
from bal.numerics import at_least, defined, in_row_blocks
from bal.numerics.divergence import divergence, relative


def max_consensus_kl(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Largest divergence of a committee's member from its consensus, ``max_k KL(p_k ‖ p̄)``, in nats.

    At least `bald`, which is the mean of the same divergences; at most ``log K``. Exactly 0 for identical draws.

    Use it when one dissenter is to be heard, or studies made with other libraries are to be repeated; it is no expected
    information, and one diverged member decides it.

    >>> import jax, jax.numpy as jnp
    >>> log_probs = jnp.log(jnp.array([[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]))
    >>> round(jax.jit(max_consensus_kl)(log_probs).item(), 4)  # log 4, where bald is 0.5623
    1.3863

    McCallum and Nigam 1998, "Employing EM and Pool-Based Active Learning for Text Classification", with the largest in
    place of the mean.
    """
    check_log_probs("max_consensus_kl", log_probs)
    num_draws, num_classes = log_probs.shape[1:]

    def block(some: Float[Array, "n K C"]) -> Float[Array, "n"]:
        marginal, excess = relative(some)
        each = (marginal[None] * divergence(excess)).reshape(num_draws, -1, num_classes).sum(-1)
        return at_least(defined(each.max(0), each.sum(0)), 0.0)

    return in_row_blocks(block, log_probs)
