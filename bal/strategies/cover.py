"""Batches that spread over the pool, with or without a look at uncertainty."""

import jax.numpy as jnp

from bal import acquisition, selection
from bal.kernels import linear
from bal.kernels import sketch as sketch_to
from bal.method import method
from bal.query.gradients import last_layer_gradients
from bal.query.rows import features, inputs, score, scored_features
from bal.selection import shortlist, transformed
from bal.strategies.categories import category
from bal.strategies.scores import bald
from bal.typing import Query, RowFunction, Stage, Values


@category("hybrid")
@method
def badge() -> Query:
    """A batch of large and different gradients, by k-means++ on last-layer gradients at the predicted labels.

    Use it when a network asks for batches: uncertain rows have long gradients, copies have equal ones. No setting.

    >>> badge().stages[0].rows.__name__
    'last_layer_gradients'

    Ash, Zhang, Krishnamurthy, Langford and Agarwal 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient
    Lower Bounds".
    """
    return Query((Stage(last_layer_gradients, selection.badge),))


@category("hybrid")
@method
def lcmd(sketch: int = 512, rows: RowFunction = last_layer_gradients) -> Query:
    """A batch of rows far from all centers, each out of the largest cluster, on sketched gradients.

    The rule is `bal.selection.lcmd`.

    Use it when a network, above all a regression, asks for large batches: best on average in the benchmark below.

    Args:
      sketch: length of the random projection of gradients.
      rows: ``layer_gradients(tapped_members(network))`` for the gradients of all layers. The default is for
        classifiers; of a regression take ``layer_gradients(tapped_members(network), jnp.ones_like)``, or
        `bal.query.features`.

    >>> lcmd(sketch=256)
    lcmd(sketch=256, rows=last_layer_gradients)

    Holzmüller, Zaverkin, Kästner and Steinwart 2023, "A Framework and Benchmark for Deep Batch Active Learning for
    Regression".
    """
    return Query((Stage(rows, transformed(selection.lcmd(linear), sketch_to(sketch))),))


@category("distribution")
@method
def k_center() -> Query:
    """A core-set: every pick is the row farthest from all labeled rows and earlier picks, on features.

    Use it when the features are good and the pool is without outliers, which it picks first. Blind to uncertainty.

    >>> k_center().stages[0].rows.__name__
    'features'

    Sener and Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach".
    """
    return Query((Stage(features, selection.k_center()),))


@category("distribution")
@method
def kmeans_pp() -> Query:
    """A batch drawn by k-means++ on features, the labeled rows being centers: distances squared are probabilities.

    Use it when `k_center` is wanted with less regard for outliers. Blind to uncertainty.

    >>> kmeans_pp().stages[0].rows.__name__
    'features'

    Arthur and Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding".
    """
    return Query((Stage(features, selection.kmeans_pp()),))


@category("hybrid")
@method
def k_medoids(num_first: int = 200) -> Query:
    """The medoids of the rows of highest BALD, on features: `bal.selection.k_medoids`.

    Use it when uncertain rows come in groups and one of each is wanted.

    Args:
      num_first: rows of highest BALD that are clustered.

    >>> [stage.rows.__name__ for stage in k_medoids().stages][1:]
    ['features']

    Kaufman and Rousseeuw 1990, "Finding Groups in Data"; Park and Jun 2009, "A simple and fast algorithm for
    K-medoids clustering".
    """
    return Query((*bald(shortlist(num_first)).stages, Stage(features, selection.k_medoids())))


@category("distribution")
@method
def typiclust() -> Query:
    """The most typical row of each of the largest clusters without a label, on features: `bal.selection.typiclust`.

    Use it when there are fewer than some ten labels a class, and features that were learned without labels.

    >>> typiclust().stages[0].rows.__name__
    'features'

    Hacohen, Dekel and Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets".
    """
    return Query((Stage(features, selection.typiclust()),))


@category("distribution")
@method
def probcover(radius: float) -> Query:
    """A batch whose balls cover the most rows that no label covers yet, on inputs: `bal.selection.probcover`.

    Use it when there are few labels and inputs, or features learned without labels, whose distances mean something.

    Args:
      radius: of a ball, in units of the inputs: ``bal.selection.purity_radius(x, pseudo_labels)`` finds one.

    >>> probcover(0.5)
    probcover(radius=0.5)

    Yehuda, Dekel, Hacohen and Weinshall 2022, "Active Learning Through a Covering Lens".
    """
    return Query((Stage(inputs, selection.probcover(radius)),))


@category("hybrid")
@method
def cluster_margin(clusters: Values, num_margin: int = 200) -> Query:
    """The rows of smallest margin, one from each cluster in turn, small clusters first: `bal.selection.cluster_margin`.

    Use it when batches are large, hundreds and more, and the pool repeats itself.

    Args:
      clusters: of all pool rows, computed once: ``bal.selection.average_linkage(x, num_clusters=100)``.
      num_margin: rows of smallest margin to take from.

    >>> import numpy as np
    >>> cluster_margin(np.arange(300) % 9).stages[0].context(None, None, None)[:3].tolist()
    [0, 1, 2]

    Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh and Kumar 2021, "Batch Active Learning at Scale".
    """
    return Query(
        (Stage(score(acquisition.margin), selection.cluster_margin(num_margin), lambda *_: jnp.asarray(clusters)),)
    )


@category("hybrid")
@method
def confident_coreset() -> Query:
    """A core-set that weighs the distance to labels by the uncertainty of a row: `bal.selection.confident_coreset`.

    Use it when `k_center` wastes labels on rows that are known well.

    >>> confident_coreset().stages[0].rows.__name__
    'scored'

    Kim, Mushtaq and Navab 2020, "Confident Coreset for Active Learning in Medical Image Analysis", in spirit.
    """
    return Query((Stage(scored_features(acquisition.least_confidence), selection.confident_coreset()),))


@category("hybrid")
@method
def ranked_batch() -> Query:
    """A batch by uncertainty and distance to labels, whose weights shift as labels come: `bal.selection.ranked_batch`.

    Use it when a study of this rule, well known from other libraries, is to be repeated.

    >>> ranked_batch().stages[0].rows.__name__
    'scored'

    Cardoso, Silva, Canuto, Moro and Gonçalves 2017, "Ranked batch-mode active learning".
    """
    return Query((Stage(scored_features(acquisition.least_confidence), selection.ranked_batch),))
