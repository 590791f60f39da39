"""What matters elsewhere: labels for the sake of predictions at target rows.

`x_target` is the rows to be predicted later, or a context that makes them: `bal.query.targets(x, weight)` with
importances, `bal.query.pool_targets(256)` where the pool itself is to be predicted, `bal.query.sampled_targets`.
"""

from bal import acquisition
from bal.kernels import posterior_covariance
from bal.method import method
from bal.query.about_targets import alc_scores, epig_scores, jepig_scores, score_about
from bal.query.functionals import functional_scores, functional_targets
from bal.query.rows import embeddings, predictions
from bal.query.targets import joint_targets, target_rows, targets
from bal.selection import best, integrated_variance, shortlist
from bal.selection import epig_batch as epig_rule
from bal.strategies.categories import category
from bal.typing import ContextFunction, PyTree, Query, Select, Stage, Values


@category("uncertainty")
@method
def epig(x_target: PyTree | ContextFunction, select: Select = best) -> Query:
    """The rows whose label tells most about the labels of the targets, one target at a time: ``Σ_z w_z I(y; y_z)``.

    In nats, at least 0 and at most BALD. By draws or by a covariance, whatever the learner has; see
    `bal.query.epig_scores`.

    Use it when the inputs to predict are known and the pool holds others, too: `bald` asks about these as well.

    Args:
      x_target: rows ``[M, ...]``, or a context function that makes them; 256 rows are usual.
      select: which rows, by their scores.

    Raises:
      ValueError: when traced, for a learner with neither several draws nor a covariance.

    >>> import numpy as np
    >>> epig(np.zeros((4, 2))).stages[0].rows.__name__
    'epig_scores'

    Bickford Smith, Kirsch, Farquhar, Gal, Foster and Rainforth 2023, "Prediction-Oriented Bayesian Active Learning".
    """
    return Query((Stage(epig_scores, select, _about(x_target)),))


@category("uncertainty")
@method
def alc(x_target: PyTree | ContextFunction, select: Select = best) -> Query:
    """The rows whose label takes most off the mean posterior variance at the targets, in the squared unit of labels.

    At least 0; for regressions, see `bal.query.alc_scores`.

    Use it when the squared error at the targets counts; `epig` counts relative accuracy. The best of a batch are
    neighbors: for several labels a round take `batch_alc`.

    Args:
      x_target: rows ``[M, ...]``, or a context function that makes them.
      select: which rows, by their scores.

    Raises:
      ValueError: when traced, for a learner whose predictions are not `Gaussian`.

    >>> from bal.query import pool_targets
    >>> alc(pool_targets(100)).stages[0].rows.__name__
    'alc_scores'

    Cohn, Ghahramani and Jordan 1996, "Active Learning with Statistical Models".
    """
    return Query((Stage(alc_scores, select, _about(x_target)),))


@category("hybrid")
@method
def batch_alc(x_target: PyTree | ContextFunction, select_first: Select | None = None) -> Query:
    """A batch that greedily leaves the least mean posterior variance at the targets.

    The rule is `bal.selection.integrated_variance`, exact for a Gaussian process with one draw of hyper-parameters.
    Memory is ``[M, N]``.

    Use it when a process asks for several labels a round and the squared error at the targets counts.

    Args:
      x_target: rows ``[M, ...]``, or a context function that makes them.
      select_first: a first stage by `alc`, such as ``bal.selection.shortlist(1000)``, for a large pool.

    >>> import numpy as np
    >>> from bal.selection import shortlist
    >>> [stage.rows.__name__ for stage in batch_alc(np.zeros((4, 2)), shortlist(1000)).stages]
    ['alc_scores', 'embeddings']

    Cohn, Ghahramani and Jordan 1996, "Active Learning with Statistical Models"; its batch form is the greedy one.
    """
    about = _about(x_target)
    first = () if select_first is None else (Stage(alc_scores, select_first, about),)
    return Query((*first, Stage(embeddings, integrated_variance(posterior_covariance), target_rows(about))))


@category("hybrid")
@method
def epig_batch(
    x_target: PyTree | ContextFunction,
    num_labelings: int = 32,
    *,
    num_first: int = 100,
    x_target_batch: PyTree | ContextFunction = None,
) -> Query:
    """A batch whose labels together tell most about those of the targets: `bal.selection.epig_batch` behind `epig`.

    In nats. Exact while a batch has at most `num_labelings` labelings, sampled beyond.

    Use it when a classifier with several draws asks for small batches about known inputs. A pick costs `num_labelings`
    times one `epig` over the shortlist.

    Args:
      x_target: rows ``[M, ...]``, or a context function that makes them.
      num_labelings: of the picks so far.
      num_first: rows that `epig` hands to the rule.
      x_target_batch: fewer targets for the rule, whose cost they multiply; `x_target` unless given.

    >>> from bal.query import pool_targets
    >>> [stage.rows.__name__ for stage in epig_batch(pool_targets(200), x_target_batch=pool_targets(50)).stages]
    ['epig_scores', 'predictions']

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning"; the batch form is ours.
    """
    few = _about(x_target if x_target_batch is None else x_target_batch)
    first = Stage(epig_scores, shortlist(num_first), _about(x_target))
    return Query((first, Stage(predictions, epig_rule(num_labelings), few)))


@category("uncertainty")
@method
def jepig(x_target: PyTree | ContextFunction, num_labelings: int = 1024, select: Select = best) -> Query:
    """The rows whose label tells most about the labels of all targets jointly, ``I(y; y_1 ... y_M)``, in nats.

    At least `epig` about the same targets, at most BALD, up to the noise of the labelings.

    Use it when the targets are few and belong together; with many it becomes `bald`.

    Args:
      x_target: rows ``[M, ...]``, or a context function that makes them.
      num_labelings: of all targets, drawn from their joint prediction.
      select: which rows, by their scores.

    >>> import numpy as np
    >>> jepig(np.zeros((4, 2))).stages[0].rows.__name__
    'jepig_scores'

    Kirsch, Farquhar and Gal 2021, "Test Distribution-Aware Active Learning".
    """
    return Query((Stage(jepig_scores, select, joint_targets(_about(x_target), num_labelings)),))


@category("uncertainty")
@method
def functional_epig(x_target: PyTree | ContextFunction, functional: Values, select: Select = best) -> Query:
    """The rows whose label tells most about linear functionals of the function at the targets, in nats.

    Differences, treatment effects, integrals: `bal.query.functional_scores`. At least 0, at most BALD.

    Use it when a regression is there for what is computed from it: `epig` asks for the values themselves.

    Args:
      x_target: rows ``[M, ...]``, or a context function that makes them.
      functional: weights of the targets ``[Q, M]``, a row for each functional; ``[[1.0, -1.0]]`` is a difference.
      select: which rows, by their scores.

    Raises:
      ValueError: when traced, for a learner that is no regression, or has neither several draws nor a covariance.

    >>> import numpy as np
    >>> functional_epig(np.zeros((2, 3)), [[1.0, -1.0]]).stages[0].rows.__name__
    'functional_scores'

    Gao, Fawkes and Sejdinovic 2025, "Causal-EPIG".
    """
    return Query((Stage(functional_scores, select, functional_targets(functional, _about(x_target))),))


@category("uncertainty")
@method
def expected_error_reduction(x_target: PyTree | ContextFunction, select: Select = best) -> Query:
    """The rows whose label is expected to turn most of the targets' predicted classes from wrong to right.

    By reweighting draws, without fitting again: `bal.acquisition.expected_error_reduction`.

    Use it when the share of right classes counts and labels are few; rows that would change no class tie at 0.

    Args:
      x_target: rows ``[M, ...]``, or a context function that makes them.
      select: which rows, by their scores.

    >>> import numpy as np
    >>> expected_error_reduction(np.zeros((4, 2))).stages[0].rows.__name__
    'scores_about'

    Roy and McCallum 2001, "Toward Optimal Active Learning through Sampling Estimation of Error Reduction".
    """
    return Query((Stage(score_about(acquisition.expected_error_reduction), select, _about(x_target)),))


@category("uncertainty")
@method
def value_of_information(x_target: PyTree | ContextFunction, utility: Values, select: Select = best) -> Query:
    """The rows whose label is expected to gain most utility at the targets, in its unit.

    For each target the best of several actions is taken: `bal.acquisition.value_of_information`.

    Use it when errors have prices.

    Args:
      x_target: rows ``[M, ...]``, or a context function that makes them.
      utility: of each action in each class, ``[A, C]``.
      select: which rows, by their scores.

    >>> import numpy as np
    >>> value_of_information(np.zeros((4, 2)), [[0.0, -10.0], [-1.0, 0.0]]).stages[0].rows.__name__
    'scores_about'

    Howard 1966, "Information Value Theory".
    """
    return Query((Stage(score_about(acquisition.value_of_information(utility)), select, _about(x_target)),))


def _about(x_target: PyTree | ContextFunction) -> ContextFunction:
    return x_target if callable(x_target) else targets(x_target)
