"""Rows ranked one by one: the best of a score, or a sample by it."""

from jaxtyping import Array, Float

from bal import acquisition, selection
from bal.method import method
from bal.query.funnel import by_score
from bal.strategies.categories import category
from bal.typing import Gaussian, Latent, PyTree, Query, Select, Stage


@category("baseline")
@method
def random() -> Query:
    """Rows drawn uniformly: the baseline of every study.

    Use it when a strategy is to be judged: one that does not beat it costs more than it gives.

    >>> random().stages[0].rows is None
    True
    """
    return Query((Stage(None, selection.random_uniform),))


@category("uncertainty")
@method
def entropy(select: Select = selection.best) -> Query:
    """The rows of most uncertain label, by the entropy of the mean prediction, in nats.

    Of log probabilities `predictive_entropy`, of a `Gaussian` `gaussian_entropy`, of a `Latent` `probit_entropy`.

    Use it when labels are nearly free of noise; where they are not, it asks for coin flips, and `bald` does not.

    >>> entropy().stages[0].select.__name__
    'best'

    Lewis and Gale 1994, "A Sequential Algorithm for Training Text Classifiers".
    """
    return by_score(_entropy, select)


@category("uncertainty")
@method
def margin() -> Query:
    """The rows whose two most probable classes are closest, by the mean prediction: `bal.acquisition.margin`.

    Use it when there are many classes: unlike `entropy` it does not mind which of the improbable ones are left.

    >>> margin().stages[0].select.__name__
    'best'

    Scheffer, Decomain and Wrobel 2001, "Active Hidden Markov Models for Information Extraction".
    """
    return by_score(acquisition.margin, selection.best)


@category("uncertainty")
@method
def variation_ratio() -> Query:
    """The rows on whose class the fewest draws agree: `bal.acquisition.vote_variation_ratio`.

    Use it when the votes of a committee are more reliable than its probabilities. Of K draws it takes at most K values:
    many rows tie, and ties go to the first of the pool.

    >>> variation_ratio().stages[0].select.__name__
    'best'

    Freeman 1965, "Elementary Applied Statistics"; Gal, Islam and Ghahramani 2017, "Deep Bayesian Active Learning with
    Image Data".
    """
    return by_score(acquisition.vote_variation_ratio, selection.best)


@category("uncertainty")
@method
def mean_std() -> Query:
    """The rows whose class probabilities spread most over draws: `bal.acquisition.mean_std`, in [0, ½].

    Use it when a study of MC dropout is to be repeated; `bald` weighs the same spread by what it tells.

    >>> mean_std().stages[0].select.__name__
    'best'

    Kendall, Badrinarayanan and Cipolla 2015, "Bayesian SegNet"; Gal, Islam and Ghahramani 2017.
    """
    return by_score(acquisition.mean_std, selection.best)


@category("uncertainty")
@method
def bald(select: Select = selection.best) -> Query:
    """The rows whose label tells most about the model, ``I(y; θ) >= 0``, in nats.

    Of log probabilities `bald`, of a `Gaussian` `gaussian_bald`, of a `Latent` `probit_bald`: exact but for the draws.

    Use it when one label a round is asked for; the best of a batch say the same, see `power_bald` and `batchbald`. It
    is after the model everywhere: where only some inputs matter, `epig` is.

    Args:
      select: which rows, by their scores.

    >>> from bal.selection import softmax
    >>> bald(softmax(10.0))
    bald(select=softmax(beta=10.0))

    Houlsby, Huszár, Ghahramani and Lengyel 2011, "Bayesian Active Learning for Classification and Preference Learning".
    """
    return by_score(_information, select)


@category("uncertainty")
@method
def power_bald(beta: float = 1.0) -> Query:
    """A batch drawn without replacement with probability proportional to ``BALD^β``: `bal.selection.power`.

    Use it when batches are wanted at no more than the cost of `bald`; it is the first thing to try.

    >>> power_bald()
    power_bald(beta=1.0)

    Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron and Gal 2023, "Stochastic Batch Acquisition".
    """
    return by_score(_information, selection.power(beta))


@category("uncertainty")
@method
def softmax_bald(beta: float = 100.0) -> Query:
    """A batch drawn without replacement with probability proportional to ``exp(β BALD)``: `bal.selection.softmax`.

    Use it when the size of the score, in nats, is to count; rows of score 0 still have a chance, unlike with
    `power_bald`. β must fit the scale of the scores: 100 is much for BALD near 0.1.

    >>> softmax_bald()
    softmax_bald(beta=100.0)

    Kirsch et al. 2023, "Stochastic Batch Acquisition".
    """
    return by_score(_information, selection.softmax(beta))


@category("uncertainty")
@method
def softrank_bald(beta: float = 1.0) -> Query:
    """A batch drawn without replacement with probability proportional to ``rank^-β``: `bal.selection.softrank`.

    Use it when only the order of the scores is to be trusted, not their size.

    >>> softrank_bald()
    softrank_bald(beta=1.0)

    Kirsch et al. 2023, "Stochastic Batch Acquisition".
    """
    return by_score(_information, selection.softrank(beta))


@category("uncertainty")
@method
def neuronal_p(gamma: float = 1000.0, mu: float | None = None, num_instances: int | None = None) -> Query:
    """Rows drawn by how close their two likeliest classes are, `bal.selection.inverse_gap` of the gap in log odds.

    The pool form of NeurONAL, with `bal.learners.neuronal`, whose scores of classes have that gap; any classifier will
    do. A round of the paper draws one label of B instances: `num_instances` at random from the pool, and batches of 1.

    Use it when `margin` is wanted with a chance for every row, and the probabilities of the picks on record.

    Args:
      gamma, mu: of `inverse_gap`; the paper has μ = Q for Q labels, which must be at least B.
      num_instances: rows drawn at random that it chooses from; None = the whole pool, for which picks have `log_q`.

    >>> neuronal_p(num_instances=100)
    neuronal_p(gamma=1000.0, num_instances=100)

    Ban, Agarwal, Wu, Cheng, Weldemariam, Tong and He 2024, "Neural Active Learning Beyond Bandits".
    """
    drawn = by_score(acquisition.log_margin, selection.inverse_gap(gamma, mu))
    if num_instances is None:
        return drawn
    return Query((Stage(None, selection.shortlist(num_instances, selection.random_uniform)), *drawn.stages))


@category("uncertainty")
@method
def variance(select: Select = selection.best) -> Query:
    """The rows where the function of a regression is least known: `bal.acquisition.epistemic_variance`.

    Use it when a regression asks for one label a round and the noise is the same everywhere: then it ranks as `bald`.

    >>> variance().stages[0].select.__name__
    'best'

    MacKay 1992, "Information-Based Objective Functions for Active Data Selection".
    """
    return by_score(acquisition.epistemic_variance, select)


@category("uncertainty")
@method
def straddle(level: float, width: float = 1.96, select: Select = selection.best) -> Query:
    """The rows that are uncertain and near a level, ``width · sd(f) - |mean - level|``: `bal.acquisition.straddle`.

    Use it when the question is where a regression crosses a threshold, not what it is elsewhere.

    >>> straddle(0.5).stages[0].select.__name__
    'best'

    Bryan, Nichol, Genovese, Schneider, Miller and Wasserman 2005, "Active Learning for Identifying Function Threshold
    Boundaries".
    """
    return by_score(acquisition.straddle(level, width), select)


def _information(predictions: PyTree) -> Float[Array, "n"]:
    """`bald` of any kind of prediction."""
    if isinstance(predictions, Gaussian):
        return acquisition.gaussian_bald(predictions)
    if isinstance(predictions, Latent):
        return acquisition.probit_bald(predictions)
    return acquisition.bald(predictions)


def _entropy(predictions: PyTree) -> Float[Array, "n"]:
    """`predictive_entropy` of any kind of prediction."""
    if isinstance(predictions, Gaussian):
        return acquisition.gaussian_entropy(predictions)
    if isinstance(predictions, Latent):
        return acquisition.probit_entropy(predictions)
    return acquisition.predictive_entropy(predictions)
