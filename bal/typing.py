"""The data structures that every part of `bal` exchanges.

Axes are named by one letter throughout: N pool rows, K posterior draws, C classes, B acquisition batch, L capacity of
the labeled set, D input features, F embedding features, T words of a sentence. Among batch rules also n candidates
(what is left of the pool), M target rows, J coordinates of what a row adds to a sum over the pool (Φ), R rank of a
row's Fisher information, S sampled labelings; P outputs of a regression, or all parameters that are flattened.

`known` rows are labeled or asked for and not yet answered: what a batch need not cover again.

Everything here is a `NamedTuple` (a JAX pytree without validation), except `Posterior` and `Kernel`, whose functions
are static fields so that they may cross `jax.jit` without a fresh closure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key

from bal.markup import facts, table
from bal.method import brief, brief_repr

PyTree = Any
PRNGKey = Key[Array, ""]

Values = ArrayLike | Sequence
"""What people hand in at the doors: arrays, numbers, lists."""

PADDING = 2**31 - 1
"""Row id of an empty place in a fixed-capacity log: out of any pool, read with ``mode="clip"``, weight 0."""


ABSTAINED = -(2**31)
"""What an oracle says in place of a label (of all its numbers) when it has none: the question is paid for, the row not
asked again, and nothing is taught."""


class Gaussian(NamedTuple):
    """Predictions of a regression model: K draws of a normal for every row (and output: ``[N, K, P]``, if several).

    `variance` is that of the function given draw k (zero for a network), `noise` that of y given the function.
    """

    mean: Float[Array, "N K"]
    variance: Float[Array, "N K"]
    noise: Float[Array, "N K"]


class Latent(NamedTuple):
    """Predictions of a binary classifier: K draws of a normal for the latent f of every row.

    Class 1 has probability ``Φ(f)`` (probit) where nothing else is said.
    """

    mean: Float[Array, "N K"]
    variance: Float[Array, "N K"]


class MultiLabel(NamedTuple):
    """Predictions of G labels, of which a row has any number: K draws of the log odds of each.

    Given a draw, labels are independent; over draws they are not.
    """

    log_odds: Float[Array, "N K G"]


class Tags(NamedTuple):
    """Predictions of a tagger: K draws of the probabilities of C tags for each of T words of a sentence.

    log_probs: given a draw; of a chain its marginals. mask: which places hold a word; what others hold means nothing.
    best: the likeliest tags by all that was learned, without draws; log_best: their log probability, of a chain alone:
    where words are independent it follows from `log_probs`.
    """

    log_probs: Float[Array, "N K T C"]
    mask: Bool[Array, "N T"]
    best: Int[Array, "N T"]
    log_best: Float[Array, "N"] | None = None


class Data(NamedTuple):
    """All that `fit` may see: L answers, of which those with weight 0 are padding and must change nothing.

    A pool row that several people answered comes up as often. `y` are class numbers or reals ``[L]``, several outputs
    ``[L, P]``, or soft labels ``[L, C]``, each a distribution over classes. `annotator`: who answered, by number.
    `row`: the pool row that the answer is about. `unlabeled`: the pool, of a learner that asks for it
    (`Learner.unlabeled`); rows that are not present in it do not exist.
    """

    x: PyTree
    y: PyTree
    weight: Float[Array, "L"]
    annotator: Int[Array, "L"] | None = None
    row: Int[Array, "L"] | None = None
    unlabeled: "Pool | None" = None


class Learner(NamedTuple):
    """A posterior over functions as pure functions; hyper-parameters are held by closure.

    init: ``key, data -> state``; shapes come from data.
    fit: ``key, state, data -> state``, of the same structure and dtypes. The state handed in is the previous
        round's, which a cold start ignores.
    predict: ``state, x -> predictions``, row-wise and without a key: every draw is fixed in `fit`.
        Predictions are ``log_probs [N, K, C]``, a `Gaussian`, a `Latent`, a `MultiLabel` or `Tags`.
    embed: ``state, x -> [N, K or 1, F]``, or a tree whose leaves lead with N.
    kernel: ``state, row, row -> scalar``, posterior covariance of two embedded rows.
    host: True = plain Python on numpy arrays, which JAX cannot trace; `fit` then starts cold, whatever the state.
    condition: as `fit`, for more data under what the last fit chose (hyper-parameters, units); None = `fit` does it.
    unlabeled: True = `fit` also learns from inputs without labels, and is handed the pool as ``data.unlabeled``.
    """

    init: Callable[..., PyTree]
    fit: Callable[..., PyTree]
    predict: Callable[..., PyTree]
    embed: Callable[..., PyTree] | None = None
    kernel: Callable[..., Array] | None = None
    host: bool = False
    condition: Callable[..., PyTree] | None = None
    unlabeled: bool = False

    __repr__ = brief_repr

    def _repr_html_(self) -> str:
        return facts(brief(self), _said(self))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Posterior:
    """A learner together with one fitted state: what a row function of a stage is given."""

    state: PyTree
    learner: Learner = field(metadata={"static": True})

    def predict(self, x: PyTree) -> PyTree:
        """Predictions for rows ``x [n, ...]``."""
        return self.learner.predict(self.state, x)

    def embed(self, x: PyTree) -> PyTree:
        """Embeddings of rows ``x [n, ...]``."""
        if self.learner.embed is None:
            raise ValueError("this stage needs embeddings, but the learner has no `embed`; use a learner that has one")
        return self.learner.embed(self.state, x)

    def kernel(self, a: PyTree, b: PyTree) -> Array:
        """Posterior covariance of two embedded rows."""
        if self.learner.kernel is None:
            raise ValueError("this stage needs a kernel, but the learner has no `kernel`; use a Gaussian process")
        return self.learner.kernel(self.state, a, b)


class Pool(NamedTuple):
    """The candidates of a whole experiment: N is a capacity, `present` says which rows exist yet."""

    x: PyTree
    present: Bool[Array, "N"]
    cost: Float[Array, "N"]


PENDING, ANSWERED, SKIPPED, CORRECTED, WITHDRAWN = range(5)
"""What became of a place in the acquisition log: asked and not answered, answered, given up, superseded, taken back."""


class Labeled(NamedTuple):
    """The acquisition log: L places for answers, `count` of them used, in the order in which rows were asked for or
    told. A row has a place for each answer: second opinions and corrected answers have their own.

    indices: the pool row. annotator: who answered, by number. y: the answer, or zeros. weight: how much it counts in
    training; 0 without an answer that stands. cost: what it cost. time: the number of asks, or of rounds, before it.
    status: PENDING, ANSWERED, SKIPPED, CORRECTED or WITHDRAWN; only what is ANSWERED has a weight.

    A row counts as answered when any answer of positive weight names it.
    """

    indices: Int[Array, "L"]
    annotator: Int[Array, "L"]
    y: PyTree
    weight: Float[Array, "L"]
    cost: Float[Array, "L"]
    time: Int[Array, "L"]
    status: Int[Array, "L"]
    count: Int[Array, ""]


class Round(NamedTuple):
    """What the context function of a stage may use."""

    posterior: Posterior
    pool: Pool
    labeled: Labeled
    memory: PyTree


class Candidates(NamedTuple):
    """All that a selector may look at.

    rows: what the stage's row function returned, every leaf ``[n, ...]``.
    index: pool row ids; per-row randomness and memory hang on them, so chunks and shards cannot change a result.
    eligible: True = may be picked.
    cost: price of a label.
    known: the same row function on the labeled buffer, or None.
    known_weight: 1 for a row that is answered or pending (asked, answer to come), 0 for padding, skipped and withdrawn.
    context: what does not lead with rows (targets, pool sums, remembered scores).
    """

    rows: PyTree
    index: Int[Array, "n"]
    eligible: Bool[Array, "n"]
    cost: Float[Array, "n"]
    known: PyTree = None
    known_weight: Float[Array, "L"] | None = None
    context: PyTree = None


class Selection(NamedTuple):
    """B picks in order.

    indices: positions in the array of candidates handed in (pool positions in the result of a query).
    scores: gain at the moment of picking.
    valid: False = nothing was left to pick: never a repeat, never a shorter array.
    log_q: log P(pick | earlier picks, remaining rows); None where the pick is deterministic.
    info: further arrays worth looking at (counts of NaN and ties, standard errors, ...).
    """

    indices: Int[Array, "B"]
    scores: Float[Array, "B"]
    valid: Bool[Array, "B"]
    log_q: Float[Array, "B"] | None = None
    info: dict[str, Array] = {}  # noqa: RUF012 - never written to


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Kernel:
    """A kernel on n candidates and L labeled rows, read by columns, diagonal or blocks: never ``[n, n]``.

    rows: what the kernel compares, every leaf ``[n, ...]``; known: the same for the labeled buffer, or None.
    known_weight: ``[L]``, positive for a real row of `known`, 0 for padding.
    noise: ``[n]`` variance of an observation given the function (0 unless `noisy`); known_noise: ``[L]``.
    params: hyper-parameters, whatever does not lead with rows.
    pair: ``params, row, row -> scalar``; static, so one function for one kind of kernel.
    moves: True = the inner product of rows that are features, whose distances stay when all rows move by one vector.
    """

    rows: PyTree
    known: PyTree
    known_weight: PyTree
    noise: PyTree
    known_noise: PyTree
    params: PyTree
    pair: Callable[[PyTree, PyTree, PyTree], Array] = field(metadata={"static": True})
    moves: bool = field(default=False, metadata={"static": True})

    def row(self, position: Int[Array, ""] | int) -> PyTree:
        """The candidate at a position."""
        return jax.tree.map(lambda leaf: leaf[position], self.rows)

    def take(self, positions: Int[Array, "m"]) -> "Kernel":
        """The kernel on some of the candidates."""
        rows = jax.tree.map(lambda leaf: leaf[positions], self.rows)
        return replace(self, rows=rows, noise=self.noise[positions])

    def column(self, row: PyTree) -> Float[Array, "n"]:
        """``k(x_n, row)`` for all candidates."""
        return jax.vmap(self.pair, (None, 0, None))(self.params, self.rows, row)

    def diag(self) -> Float[Array, "n"]:
        """``k(x_n, x_n)``, at least 0: what is below is the rounding of a difference."""
        return jnp.maximum(jax.vmap(self.pair, (None, 0, 0))(self.params, self.rows, self.rows), 0.0)

    def block(self, others: PyTree) -> Float[Array, "m n"]:
        """``k(other_m, x_n)``: one column of the kernel a row."""
        return jax.vmap(self.column)(others)


class Over(NamedTuple):
    """A way to map a row-wise function over a pool.

    map: ``fn, fixed, x -> rows``.
    place: "device" can be traced into a compiled program; "stream" runs compiled pieces from a Python loop;
        "host" calls plain Python on numpy arrays.
    """

    map: Callable[[Callable, tuple, PyTree], PyTree]
    place: Literal["device", "stream", "host"]

    __repr__ = brief_repr


Acquisition = Callable[[PyTree], Array]
"""``predictions -> scores [n]``: a pure, row-wise function; higher means: label first."""

RowFunction = Callable[[Posterior, PyTree, PyTree], PyTree]
"""``posterior, context, x [n, ...] -> rows [n, ...]``: what a stage makes of each row, whatever rows are beside it."""

ContextFunction = Callable[[PRNGKey, Round, Over], PyTree]
"""``key, round, over -> context``: what a stage needs beside rows, once a round (targets, pool sums, a posterior)."""

Select = Callable[[PRNGKey, Candidates, int], Selection]
"""``key, candidates, batch_size -> Selection``: the batch, with `batch_size` static."""

Transform = Callable[[PRNGKey, Candidates], Candidates]
"""``key, candidates -> candidates``: other rows, before a rule sees them."""

KernelOf = Callable[[Candidates], Kernel]
"""``candidates -> Kernel``: how a rule is told what to compare rows with."""

Oracle = Callable[[PRNGKey, Int[Array, "B"], PyTree], PyTree]
"""``key, indices, x -> y``: the labels of some rows of the pool, from their ids and inputs (simulators, annotators).

An annotator who cannot tell answers `ABSTAINED`."""


class Stage(NamedTuple):
    """One narrowing of the pool.

    rows: ``posterior, context, x [n, ...] -> rows``, row-wise; one stable function (a fresh lambda a round would
        recompile), or None if the selector needs no rows.
    select: ``key, Candidates, batch_size -> Selection``.
    context: ``key, Round, over -> PyTree``: whatever does not lead with rows; may map and sum over the whole pool.
    """

    rows: RowFunction | None
    select: Select
    context: ContextFunction | None = None

    __repr__ = brief_repr


class Query(NamedTuple):
    """A funnel of stages, and what it carries from round to round.

    memory: ``pool -> memory``, the first memory (remembered scores, bandits, switches).
    remember: ``memory, ((Candidates, Selection), ...) -> memory``.
    """

    stages: tuple[Stage, ...]
    memory: Callable | None = None
    remember: Callable | None = None

    __repr__ = brief_repr

    def _repr_html_(self) -> str:
        parts = [
            [number, *map(brief, (stage.rows, stage.select, stage.context))] for number, stage in enumerate(self.stages)
        ]
        return table(["stage", "rows", "select", "context"], parts, brief(self))


def _said(parts: Any) -> dict[str, str]:
    """The fields of a named tuple as one would write them; those that are None or False are left out."""
    return {name: brief(part) for name, part in parts._asdict().items() if part is not None and part is not False}


class Task(NamedTuple):
    """What is to be learned: data, and who labels it. With 0 and None in place of arrays it says which parts lead with
    an axis of seeds.

    pool: the candidates.
    oracle: labels of all pool rows ``[N]``, or a function ``key, indices, x -> y``; only those of rows that were asked
        for are ever read.
    test: handed to the set-up's `evaluate` with the posterior of each round.
    start: pool rows labeled at the beginning, ``[S]``; None = drawn at random by the set-up.
    """

    pool: Any
    oracle: Any
    test: PyTree = None
    start: Any = None

    __repr__ = brief_repr

    def _repr_html_(self) -> str:
        return facts("Task", _said(self))


class Setup(NamedTuple):
    """How it is to be learned: all that is static in a run.

    batch_size, num_rounds: labels asked for in a round, and how many rounds.
    num_initial: rows drawn at random for a start set where the task has none; 0 where the prior is to choose.
    evaluate: ``posterior, test -> {name: number}``; None = nothing is measured.
    over: how a row-wise function meets the pool; None = all of it at once.
    """

    learner: Learner
    query: Query
    batch_size: int
    num_rounds: int
    num_initial: int | None = None
    evaluate: Callable[[Posterior, PyTree], dict[str, Array]] | None = None
    over: Over | None = None

    def __repr__(self) -> str:
        return f"Setup({', '.join(f'{name}={text}' for name, text in _said(self).items())})"

    def _repr_html_(self) -> str:
        return facts("Setup", _said(self))
