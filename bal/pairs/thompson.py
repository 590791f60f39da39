"""Double Thompson sampling: the best item of one draw of the rewards against the best of another."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from bal.learners.settings import check_count
from bal.method import method
from bal.numerics import dot, first_argmax
from bal.pairs.comparison import Comparison, bradley_terry, check_comparison
from bal.pairs.drawing import draw_pairs
from bal.pairs.nouns import PairQuery, PairRound, PairSelection, num_items
from bal.pairs.rewards import RANK, Rewards, reward_features, rewards
from bal.typing import PADDING, PRNGKey


@method
def double_thompson(num_tries: int = 30, comparison: Comparison = bradley_terry, rank: int = RANK) -> PairQuery:
    """Best item of one posterior draw against the best of another, drawn anew until they differ.

    For each pair of the batch: a group at random, by its number of pairs, where there are groups; a draw, whose best
    item a stands first; up to `num_tries` further draws, until one has another best item b and (a, b) was not asked
    before; if none has, b is drawn uniformly among the items that a was not compared with, and if there is none, a
    whole pair is drawn. Draws are those of the learner (members of an ensemble), or normal ones of a process. Scores
    are NaN.

    Use it where the best items matter and the order of the others does not: it looks for a winner, and learns little
    about items that are surely worse.

    Args:
      num_tries: draws for the second item.
      comparison, rank: as of `pair_bald`.

    Raises:
      ValueError: no tries.

    >>> double_thompson(5).made.settings["num_tries"]
    5

    Dwaracherla, Asghari, Hao and Van Roy 2024, "Efficient Exploration for LLMs", who draw from an epistemic network and
    may ask a pair again.
    """
    check_count("num_tries", num_tries)
    check_count("rank", rank)
    check_comparison(comparison)

    def query(key: PRNGKey, round: PairRound, batch_size: int) -> PairSelection:
        n, group = num_items(round.items), round.items.group
        found = rewards(round.posterior, round.items, comparison)
        drawn = _draws(found, round, comparison, rank)

        def pick(number: Array, asked: Int[Array, "E 2"]) -> Int[Array, "E 2"]:
            key_first, key_second, key_other, key_pair = jax.random.split(jax.random.fold_in(key, number), 4)
            pair = draw_pairs(key_pair, round.items, asked, 1)[0]
            inside = jnp.isfinite(found.mean)
            if group is not None:
                inside &= group == group[jnp.minimum(pair[0], n - 1)]
            best = lambda values: first_argmax(jnp.where(inside, values, -jnp.inf))
            a = best(drawn(key_first, 1)[0])
            met = jnp.zeros(n, bool).at[a].set(True)
            for one, other in ((0, 1), (1, 0)):
                met = met.at[jnp.where(asked[:, one] == a, asked[:, other], n)].set(True, mode="drop")
            free = inside & ~met
            rivals = jax.vmap(best)(drawn(key_second, num_tries))
            fits = free[rivals]
            noise = jnp.where(free, jax.random.uniform(key_other, (n,)), -jnp.inf)
            b = jnp.where(fits.any(), rivals[jnp.argmax(fits)], first_argmax(noise))
            chosen = jnp.stack([jnp.minimum(a, b), jnp.maximum(a, b)]).astype(asked.dtype)
            chosen = jnp.where(free.any() & (pair[0] != PADDING), chosen, pair)
            return asked.at[len(round.log.y) + number].set(chosen)

        asked = jnp.concatenate([round.log.pairs, jnp.full((batch_size, 2), PADDING, jnp.int32)])
        pairs = jax.lax.fori_loop(0, batch_size, pick, asked)[len(round.log.y) :]
        return PairSelection(pairs, jnp.full(batch_size, jnp.nan), pairs[:, 0] != PADDING)

    return query


def _draws(found: Rewards, round: PairRound, comparison: Comparison, rank: int) -> Callable[[PRNGKey, int], Array]:
    """``key, count -> [count, N]``: rewards of some draws, or of normal ones of a process."""
    draws, mean = found.draws, found.mean
    if draws is not None:
        return lambda key, count: draws.T[jax.random.randint(key, (count,), 0, draws.shape[1])]
    psi = reward_features(round.posterior, round.items, comparison, rank)
    return lambda key, count: mean[None] + dot(jax.random.normal(key, (count, psi.shape[1]), psi.dtype), psi.T)
