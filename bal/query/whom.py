"""Whom to ask: a pool of questions, each a row and the annotator it would be put to, scored by what the answer tells.

A pool of N rows and A annotators is a pool of A N questions: number ``a N + n`` asks annotator a about row n, at that
annotator's price. Every driver runs such a task as any other; a row may be asked about once by each annotator.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int

from bal.acquisition.annotated import annotated_bald, annotated_epig
from bal.learners.taught import Asked
from bal.method import method
from bal.numerics import in_row_blocks
from bal.pool.over import num_rows, take
from bal.query.rows import predict
from bal.query.targets import Targets, check_targets
from bal.selection.budget import additive, budgeted, one_per_group
from bal.typing import ABSTAINED, Pool, Posterior, PRNGKey, PyTree, Query, Stage, Task, Values


class Annotator(NamedTuple):
    """Who may be asked: the price of an answer, and the answers: of all rows ``[N]``, or an oracle."""

    price: float
    answers: Any


def questions(task: Task, annotators: Sequence[Annotator]) -> Task:
    """The task whose pool are questions: every row of `task` for every annotator, see the module.

    Inputs are `bal.learners.Asked`, of which `by_consensus` makes labels; a question costs the annotator's
    price times the cost of the row. `present`, the test set and the start set stay: numbers below N are questions to
    the first annotator. Its own oracle is not asked.

    In a compiled run every annotator who is a function is traced for all rows of a batch, and the answer of the one
    who was asked is taken; `bal.run_eager` calls each for the rows put to them and no others.

    The pool holds the inputs A times.

    Args:
      task: of one seed.
      annotators: by number; answers are arrays or oracles ``key, indices, x -> y`` in the rows of `task`. One who
        cannot tell answers `bal.typing.ABSTAINED`.

    Raises:
      ValueError: no annotator, a price that is not positive and finite, answers that are not one for each row.

    >>> from bal.pool import make_pool
    >>> human, machine = Annotator(1.0, jnp.array([0, 1, 2])), Annotator(0.25, jnp.array([0, 2, 2]))
    >>> asked = questions(Task(make_pool(jnp.zeros((3, 4))), None), [human, machine])
    >>> asked.pool.cost.tolist(), asked.oracle.tolist(), asked.pool.x.annotator.tolist()
    ([1.0, 1.0, 1.0, 0.25, 0.25, 0.25], [0, 1, 2, 0, 2, 2], [0, 0, 0, 1, 1, 1])
    """
    prices, count, n = np.array([float(one.price) for one in annotators]), len(annotators), num_rows(task.pool.x)
    if not count or not (np.isfinite(prices) & (prices > 0)).all():
        raise ValueError(f"expected at least one annotator, of positive and finite prices, got {prices.tolist()}")
    for number, one in enumerate(annotators):
        if not callable(one.answers) and {np.shape(leaf)[:1] for leaf in jax.tree.leaves(one.answers)} != {(n,)}:
            raise ValueError(
                f"expected answers of annotator {number} to each of {n} rows, got shape {np.shape(one.answers)}; what "
                "they cannot tell is bal.typing.ABSTAINED"
            )
    pool = task.pool
    spread = lambda leaf: jnp.concatenate([jnp.asarray(leaf)] * count)
    rows = np.arange(n, dtype=np.int32)
    asked = Asked(
        jax.tree.map(spread, pool.x), jnp.asarray(np.tile(rows, count)), jnp.asarray(np.repeat(np.arange(count), n))
    )
    cost = (jnp.asarray(prices, pool.cost.dtype)[:, None] * jnp.asarray(pool.cost)[None]).reshape(-1)
    oracles = tuple(one.answers for one in annotators)
    if any(map(callable, oracles)):
        oracle: Any = Partial(_ask, tuple(one if isinstance(one, Partial) else _held(one) for one in oracles))
    else:
        oracle = jax.tree.map(lambda *leaves: jnp.concatenate([jnp.asarray(leaf) for leaf in leaves]), *oracles)
    whose = asked._replace(annotator=asked.annotator.astype(jnp.int32))
    return Task(Pool(whose, spread(pool.present), cost), oracle, task.test, task.start)


def split_questions(indices: Int[Any, "*shape"], num_rows: int) -> tuple[Any, Any]:
    """Rows and annotators of questions, as a log holds their numbers.

    >>> split_questions(np.array([[2, 3], [7, 0]]), num_rows=3)[0].tolist()
    [[2, 0], [1, 0]]
    """
    return indices % num_rows, indices // num_rows


def noisy_annotator(labels: Values, confusion: Values) -> Partial:
    """An oracle that errs: the answer to a row of class c is drawn from ``confusion[c]``, for runs of every kind.

    The draw hangs on the key of the round and the row. Where the confusion has one column more than there are classes
    it is the probability of no answer, `bal.typing.ABSTAINED`.

    Args:
      labels: true classes of all rows ``[N]``.
      confusion: ``[C, C]``, or ``[C, C + 1]``.

    Raises:
      ValueError: a confusion of another shape, or whose rows are not probabilities.

    >>> oracle = noisy_annotator([1, 0, 1], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> jax.jit(oracle)(jax.random.key(0), jnp.array([1, 2]), None).tolist() == [1, ABSTAINED]
    True
    """
    matrix = np.asarray(confusion, np.float64)
    if matrix.ndim != 2 or matrix.shape[1] - matrix.shape[0] not in (0, 1):
        raise ValueError(f"expected a confusion [C, C], or [C, C + 1] of one who abstains, got shape {matrix.shape}")
    if not (matrix >= 0).all() or not np.allclose(matrix.sum(1), 1, atol=1e-3):
        raise ValueError(
            f"expected a confusion whose rows are probabilities, got sums {matrix.sum(1).round(3).tolist()}"
        )
    with np.errstate(divide="ignore"):
        log_confusion = jnp.asarray(np.log(matrix), jnp.result_type(float))
    return Partial(_err, jnp.asarray(labels, jnp.int32), log_confusion)


def answer_scores(posterior: Posterior, context: Targets | None, x: PyTree) -> Float[Array, "n"]:
    """What the answer to a question tells: of the parameters, ``I(answer; θ)``, or of labels at targets, in nats.

    `bal.acquisition.annotated_bald` through the confusion of the annotator who would be asked, which the posterior of
    a `by_consensus` learner holds, given or estimated; with a context of `targets`, `annotated_epig`.

    Use it with `bal.selection.per_cost`, `budgeted` or `ask_whom`: information per price says whom to ask.

    Raises:
      ValueError: inputs that are no questions, or a posterior that knows no annotators.

    Houlsby et al. 2011 and Bickford Smith et al. 2023, each through a channel.
    """
    confusion = getattr(posterior.state, "confusion", None)
    if confusion is None or not isinstance(x, Asked):
        raise ValueError(
            "answer_scores needs questions and a learner who knows the annotators, got inputs of type "
            f"{type(x).__name__} and a state of type {type(posterior.state).__name__}; use a task of "
            "bal.query.questions and bal.learners.by_consensus(learner, dawid_skene(confusion))"
        )
    if context is not None:
        check_targets(context)

    def one(matrix: Float[Array, "C C"], log_probs: Float[Array, "K C"]) -> Float[Array, ""]:
        if context is None:
            return annotated_bald(matrix)(log_probs[None])[0]
        return annotated_epig(matrix)(log_probs[None], context.predictions, context.weight)[0]

    rows = (confusion[x.annotator], predict(posterior, x))
    return in_row_blocks(lambda some: jax.vmap(one)(*some), rows)


@method
def ask_whom(num_rows: int, budget: float, num_annotators: int, context: Any = None) -> Query:
    """The questions of most information per price, for `budget` a round: at most one about each row.

    `answer_scores` ranked per price; what the budget does not buy stays unspent, ``valid=False``. The batch size of the
    set-up is the most questions that a round may have.

    Use it where annotators differ in price and skill, on a task of `questions`.

    Args:
      num_rows: N, of the task that the questions are about.
      budget: price of a round.
      num_annotators: A.
      context: `bal.query.targets(x_target)` for information about their labels; None: about the parameters.

    >>> ask_whom(3, budget=1.0, num_annotators=2).stages[0].rows.__name__
    'answer_scores'
    """
    row = np.tile(np.arange(num_rows, dtype=np.int32), num_annotators)
    return Query((Stage(answer_scores, budgeted(one_per_group(additive, row), budget), context),))


def _held(answers: Any) -> Any:
    """A function as a tree without leaves, an array as one with them."""
    return Partial(answers) if callable(answers) else jax.tree.map(jnp.asarray, answers)


def _ask(annotators: tuple, key: PRNGKey, indices: Any, asked: Asked) -> PyTree:
    """Each annotator answers alone: all of the batch where it is traced, what is put to them elsewhere."""
    keys = [jax.random.fold_in(key, number) for number in range(len(annotators))]
    if isinstance(indices, Tracer):
        told = [_answers(one, keys[number], asked.row, asked.x) for number, one in enumerate(annotators)]
        chosen = lambda *leaves: jnp.stack(leaves)[asked.annotator, jnp.arange(len(asked.row))]
        return jax.tree.map(chosen, *told)
    whose, rows, found = np.asarray(asked.annotator), np.asarray(asked.row), None
    for number, one in enumerate(annotators):
        mine = np.flatnonzero(whose == number)
        if len(mine):
            told = np.asarray(_answers(one, keys[number], rows[mine], take(asked.x, mine)))
            found = np.zeros((len(rows), *told.shape[1:]), told.dtype) if found is None else found
            found[mine] = told
    return found if found is not None else np.zeros(0, np.int32)


def _answers(one: Any, key: PRNGKey, rows: Any, x: PyTree) -> PyTree:
    return jax.tree.map(jnp.asarray, one(key, rows, x)) if callable(one) else take(one, rows)


def _err(labels: Array, log_confusion: Array, key: PRNGKey, indices: Any, x: PyTree) -> Int[Array, "n"]:
    del x
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(indices))
    drawn = jax.vmap(jax.random.categorical)(keys, log_confusion[labels[jnp.asarray(indices)]])
    return jnp.where(drawn == log_confusion.shape[0], ABSTAINED, drawn).astype(jnp.int32)
