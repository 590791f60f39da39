"""Copy me: a batch rule.

1. The rule goes into a file of bal/selection/ (rules, information, variance, cover or sparse), its name into `__all__`.
2. The row goes into `SELECTORS` of tests/cases.py: what it promises, and candidates that it works on. It is then tested
   for picks that are eligible and distinct, ties, NaN and infinity in few and many rows, pools that run out, hostile
   arrays, and for being equal to another made alike.
3. The oracle goes into tests/selection/: the same batch by a plain loop, in numpy and float64.
"""

import jax
import jax.numpy as jnp
import numpy as np
from cases import scored_candidates, selector

from bal.method import method
from bal.selection import Greedy, greedy
from bal.typing import Candidates, PRNGKey, Select


@method
def penalized(radius: float = 1.0) -> Select:
    """Rows of high score, each pick lowering the scores around it: ``s_n Π_i (1 - exp(-|x_n - x_i|² / 2 r²))``.

    Rows are `bal.selection.ScoredFeatures` with scores of at least 0; the score of a pick is that product.

    Use it when a score has no batch form of its own and rows of like features tell the same.

    Args:
      radius: r, in units of the features.

    >>> from bal.selection import ScoredFeatures
    >>> rows = ScoredFeatures(jnp.array([3.0, 2.9, 1.0]), jnp.array([[0.0], [0.1], [9.0]]))
    >>> candidates = Candidates(rows, jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3))
    >>> penalized()(jax.random.key(0), candidates, 2).indices.tolist()
    [0, 2]

    After González, Dai, Hennig and Lawrence 2016, "Batch Bayesian Optimization via Local Penalization".
    """

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        x = candidates.rows.features
        start = candidates.rows.scores * jnp.where(jnp.isfinite(x).all(-1), 1.0, jnp.nan)  # NaN is never picked
        away = lambda i: -jnp.expm1(-0.5 * jnp.sum(((x - x[i][None]) / radius) ** 2, -1))
        return Greedy(start, lambda scores: scores, lambda scores, i: scores * away(i))

    return greedy(rule)


ROW = selector(penalized(), scored_candidates)


def test_penalized_by_a_plain_loop():
    some = scored_candidates()._replace(rows=scored_candidates().rows._replace(scores=jnp.arange(24.0) % 7 + 1))
    score, x = np.asarray(some.rows.scores, np.float64), np.asarray(some.rows.features, np.float64)
    picks = penalized(0.5)(jax.random.key(0), some, 4)
    chosen = []
    for pick, gain in zip(picks.indices.tolist(), picks.scores.tolist(), strict=True):
        factors = [[1 - np.exp(-((a - x[i]) ** 2).sum() / 0.5) for i in chosen] for a in x]
        now = np.array([-1.0 if n in chosen else score[n] * np.prod(factors[n]) for n in range(len(x))])
        assert pick == now.argmax()
        np.testing.assert_allclose(gain, now.max(), rtol=1e-5)
        chosen.append(pick)
