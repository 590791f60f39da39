"""A small model asks, a large one learns: labels acquired by one tagger train another."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array

from bal.learners.settings import named
from bal.method import method
from bal.typing import Data, Learner, Posterior, PRNGKey, PyTree


class Pair(NamedTuple):
    """Something of the model that asks, and of the one that learns from its labels: rows, or states."""

    acquirer: Any
    successor: Any


@method
def with_successor(acquirer: Learner, successor: Learner) -> Learner:
    """The learner whose queries are the acquirer's and whose measure is the successor's, fitted to the same labels.

    `predict` and `embed` are the acquirer's, so that only the small model runs over the pool; `of_successor` lets
    `evaluate` see the large one. Rows are a `Pair` of what either takes. Both are fitted with the same key, so
    that each is what it would be alone, and two equal learners on equal rows are one.

    Use it where labels are bought with a quick (distilled, truncated) model and kept for a large one.

    Args:
      acquirer: asks.
      successor: learns.

    Raises:
      TypeError: parts that are no learners, rows that are no `Pair`.

    >>> from bal.tagging import tagger
    >>> with_successor(tagger(3, rate=0.5), tagger(3, 1))  # doctest: +ELLIPSIS
    with_successor(tagger(num_tags=3, num_draws=10, ...), tagger(num_tags=3, num_draws=1, ...))

    Shelmanov et al. 2021, "Active Learning for Sequence Tagging with Deep Pre-trained Models and Bayesian Uncertainty
    Estimates".
    """
    for what, part in (("an acquirer", acquirer), ("a successor", successor)):
        if not isinstance(part, Learner):
            raise TypeError(f"expected {what} that is a Learner, got {named(part)}; use tagger(num_tags), say")
    embed = acquirer.embed

    def init(key: PRNGKey, data: Data) -> Pair:
        _check_pair(data.x)
        return Pair(acquirer.init(key, _of(data, 0)), successor.init(key, _of(data, 1)))

    def fit(key: PRNGKey, state: Pair, data: Data) -> Pair:
        return Pair(acquirer.fit(key, state[0], _of(data, 0)), successor.fit(key, state[1], _of(data, 1)))

    def predict(state: Pair, x: Pair) -> PyTree:
        _check_pair(x)
        return acquirer.predict(state.acquirer, x.acquirer)

    def embedded(state: Pair, x: Pair) -> PyTree:
        return None if embed is None else embed(state.acquirer, x.acquirer)

    return Learner(init, fit, predict, embedded if embed is not None else None)


@method
def of_successor(
    successor: Learner, evaluate: Callable[[Posterior, PyTree], dict[str, Array]]
) -> Callable[[Posterior, PyTree], dict[str, Array]]:
    """``evaluate(posterior, test)`` of the successor in `with_successor`, on a test set of its own rows.

    Args:
      successor: the same as in `with_successor`.
      evaluate: what is measured, `tagging(names)` say.

    >>> from bal.tagging import tagger, tagging
    >>> of_successor(tagger(3), tagging())  # doctest: +ELLIPSIS
    of_successor(tagger(num_tags=3, ...), tagging(names=()))
    """

    def evaluated(posterior: Posterior, test: PyTree) -> dict[str, Array]:
        return evaluate(Posterior(posterior.state.successor, successor), test)

    return evaluated


def _of(data: Data, which: int) -> Data:
    return data._replace(x=data.x[which])


def _check_pair(x: PyTree) -> None:
    if not isinstance(x, Pair):
        raise TypeError(
            f"expected rows that are a Pair(acquirer, successor) of what either model takes, got {named(x)}"
        )
