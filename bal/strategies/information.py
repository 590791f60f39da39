"""Batches by the information in their labels together, or by the variance that is left."""

from bal import selection
from bal.kernels import draw_covariance, noisy, posterior_covariance
from bal.method import method
from bal.query.pool_sums import pool_fisher
from bal.query.rows import embeddings, fisher_rows, posterior_context, predictions
from bal.selection import shortlist
from bal.strategies.categories import category
from bal.strategies.scores import bald
from bal.typing import Query, Stage


@category("hybrid")
@method
def batchbald(num_configurations: int = 2_000, num_first: int = 200) -> Query:
    """A batch whose labels together tell most about the model, ``I(y_1 ... y_B; θ)``, in nats, behind BALD.

    Exact while a batch has at most `num_configurations` labelings, sampled beyond: `bal.selection.batchbald`.
    ``info["saturated_at"]`` is the pick from which on there is next to nothing left to tell, 0 where there is none.

    Use it when a classifier with many draws asks for batches of up to about ten; K draws hold at most log K nats, after
    which its picks are nearly free choices (``info["saturated_at"]`` says when): then take `gaussian_batch`.

    Args:
      num_configurations: labelings of a batch that are enumerated or sampled.
      num_first: rows of highest BALD that the rule chooses from.

    >>> batchbald(num_first=50)
    batchbald(num_configurations=2000, num_first=50)

    Kirsch, van Amersfoort and Gal 2019, "BatchBALD".
    """
    return Query((*bald(shortlist(num_first)).stages, Stage(predictions, selection.batchbald(num_configurations))))


@category("hybrid")
@method
def gaussian_batch() -> Query:
    """A batch by the log determinant of the covariance of its class probabilities over draws, in nats.

    In closed form, without sampling and without a ceiling at log K: `bal.selection.gaussian_batch`. Any real number.

    Use it when a classifier asks for batches that are too large for `batchbald`.

    >>> gaussian_batch().stages[0].rows.__name__
    'predictions'

    Ober, Power, Diethe and Moss 2025, "Big Batch Bayesian Active Learning by Considering Predictive Probabilities".
    """
    return Query((Stage(predictions, selection.gaussian_batch()),))


@category("hybrid")
@method
def max_det(noise: float = 1e-2) -> Query:
    """A batch of largest determinant of the covariance of its predictions over draws: `bal.selection.max_det`.

    Use it when a classifier with several draws asks for batches and the predictions of its rows are to differ.
    For a process take `gp_batch_bald`.

    Args:
      noise: variance of an observation, in squared units of probabilities.

    >>> max_det().stages[0].rows.__name__
    'predictions'

    Holzmüller, Zaverkin, Kästner and Steinwart 2023, "A Framework and Benchmark for Deep Batch Active Learning for
    Regression".
    """
    return Query((Stage(predictions, selection.max_det(noisy(draw_covariance(), noise))),))


@category("hybrid")
@method
def gp_batch_bald() -> Query:
    """A batch whose labels together tell most about a Gaussian process, ``½ log det(I + Σ/σ²)``, in nats.

    Greedy, and exact for one draw of hyper-parameters; each gain is `bald` after the earlier picks.

    Use it when a process asks for several labels a round; about given inputs take `batch_alc`.

    >>> gp_batch_bald().stages[0].rows.__name__
    'embeddings'

    Srinivas, Krause, Kakade and Seeger 2010, "Gaussian Process Optimization in the Bandit Setting"; Kirsch et al. 2019.
    """
    return Query((Stage(embeddings, selection.max_det(posterior_covariance), posterior_context),))


@category("hybrid")
@method
def mutual_information() -> Query:
    """A batch that tells most about the rest of the pool, greedily: `bal.selection.mutual_information`, in nats.

    Use it when sensors are to be placed: unlike `gp_batch_bald` it does not go to the border, where a sensor looks at
    nothing. Costs O(N³) and two matrices ``[N, N]`` in float64: for pools of a few thousand at most.

    >>> mutual_information().stages[0].rows.__name__
    'embeddings'

    Krause, Singh and Guestrin 2008, "Near-Optimal Sensor Placements in Gaussian Processes".
    """
    return Query((Stage(embeddings, selection.mutual_information(posterior_covariance), posterior_context),))


@category("hybrid")
@method
def bait(num_features: int = 16) -> Query:
    """A batch that leaves the least Fisher-weighted variance of the last layer over the pool: `bal.selection.bait`.

    Use it when a classifier asks for large batches and time is no matter.

    Args:
      num_features: to which the averaged features are projected at random.

    >>> bait().stages[0].rows.__name__
    'fisher'

    Ash, Goel, Krishnamurthy and Kakade 2021, "Gone Fishing: Neural Active Learning with Fisher Embeddings".
    """
    rows = fisher_rows(num_features)
    return Query((Stage(rows, selection.bait(), pool_fisher(rows)),))
