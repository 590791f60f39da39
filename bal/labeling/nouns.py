"""What a desk is opened with and what it hands out: page one of labeling."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bal.evaluation.history import StoppingRule
from bal.labeling.views import View
from bal.typing import Learner, Over, Posterior, PyTree, Query, Values

Answer = Any
"""What people say: the name of a class; of soft labels also ``{name: probability}`` or ``[C]``; of several labels a
collection of names, maybe empty; or a number."""

What = Literal["first", "second", "again", "test"]
"""A row that the query asked for; a second opinion; the same person asked again; a row held out for the estimate."""


class Number(NamedTuple):
    """Answers that are numbers from `low` to `high`, in a unit."""

    low: float | int
    high: float | int
    unit: str = ""


class Labeling(NamedTuple):
    """All that is needed to open a `Desk`. One of `classes`, `several` and `number` says what an answer is.

    x: all rows, a tree of arrays ``[N, ...]``. learner, query, over: as in `bal.Campaign`.
    render: ``row -> View``; where it raises, the item says so and can be skipped.
    classes: names, of which a row has one. soft: an answer may be a distribution over them; the learner must take such
        labels. several: names, of which a row has any number; the learner predicts a `MultiLabel`.
    number: range and unit of answers that are real numbers.
    keys: ``{name: key}``, one key of the keyboard a class; by default a letter of the name, or a digit.
    question: what people are asked, in words.
    batch_size: rows that one fit asks for; a fit begins when as many answers are new.
    capacity: places for answers; a correction and a second opinion take one each.
    budget: labeling ends when so many rows have an answer; None = no such end.
    repeat: share of rows shown twice, to another annotator, or later to the same one where nobody else is at work.
    test_rows: rows held out, never trained on, or how many of them are drawn. `test_share` of what is shown are test
        rows, in random order, until all have an answer: what the accuracy is estimated from.
    test: a test set ``(x, y)`` that is labeled already, in place of test rows; y as the learner's labels.
    stop: a rule of `bal.evaluation`; evaluate: what is measured at each fit on `test`, for rules that read a metric.
    ids: names of the rows in the user's own table, ``[N]``; cost: price of each.
    annotators: who may label; None = anybody.
    patience: seconds after which what a silent annotator holds is handed to others.
    seed: of all chance: the first rows, test rows, rows shown twice.
    """

    x: PyTree
    learner: Learner
    query: Query
    render: Callable[[int], View]
    classes: Sequence[str] | None = None
    several: Sequence[str] | None = None
    number: Number | None = None
    soft: bool = False
    keys: Mapping[str, str] | None = None
    question: str = ""
    batch_size: int = 10
    capacity: int = 1000
    budget: int | None = None
    repeat: float | int = 0
    test_rows: int | Sequence[int] = 0
    test_share: float | int = 0.2
    test: tuple[PyTree, Any] | None = None
    stop: StoppingRule | None = None
    evaluate: Callable[[Posterior, PyTree], dict[str, Any]] | None = None
    ids: Values | None = None
    cost: Values | None = None
    over: Over | None = None
    annotators: Sequence[str] | None = None
    patience: float | int = 600
    seed: int = 0


class Item(NamedTuple):
    """One row to answer.

    row: its number in `Labeling.x`; id: its name. view: what to show; None where `error` says why it cannot be shown.
    what: why it is shown. from_round: the fit that asked for it; 0 = drawn at random. The score is not in here: see
    `Desk.reveal`.
    """

    row: int
    id: Any
    view: View | None
    what: What
    from_round: int
    error: str | None = None


class Waiting(NamedTuple):
    """Nothing to show right now: ask again in a moment."""

    reason: str


class Finished(NamedTuple):
    """Nothing left to show, and why."""

    reason: str


class Entry(NamedTuple):
    """One answer on record.

    answer: as it was given, None = cannot tell. at: when, in seconds of Unix time. seconds: how long it took.
    state: "stands", "corrected" (superseded) or "withdrawn" (undone).
    """

    row: int
    annotator: str | None
    answer: Answer
    seconds: float | int | None
    at: float
    what: What
    state: Literal["stands", "corrected", "withdrawn"] = "stands"


class Reveal(NamedTuple):
    """What the model thought of a row before it was answered: shown afterwards only.

    score: by which the row was asked for; None where chance drew it. prediction: ``{name: probability}``, or ``{"mean":
    m, "sd": s}`` of a number; None where there was no model yet. from_round: the fit that said so.
    """

    score: float | None
    prediction: dict[str, float] | None
    from_round: int


class Quality(NamedTuple):
    """How good the model of the last fit is on rows that it was not trained on.

    name: "accuracy" (of several labels: the share that is right), or "mean absolute error". low, high: an interval of
    confidence 95 %. num_labels: test labels that it rests on, of num_rows.
    """

    name: str
    value: float
    low: float | int
    high: float | int
    num_labels: int
    num_rows: int


class Progress(NamedTuple):
    """Where labeling stands.

    labels: rows with an answer that stands; answers: all that stand, second opinions and test rows among them;
    skipped: rows given up; left: rows nobody was asked for. budget_left: labels to go, None without a budget.
    labels_per_hour: of all annotators, breaks of more than two minutes left out; None before the second answer.
    quality: None without test labels or before the first fit. round: fits so far; refitting: one is under way.
    stopped: the stopping rule in words, None while labeling goes on. fault: why the last fit failed, in one sentence.
    by_annotator: answers that stand.
    """

    labels: int
    answers: int
    skipped: int
    left: int
    budget_left: int | None
    labels_per_hour: float | None
    quality: Quality | None
    round: int
    refitting: bool
    stopped: str | None
    fault: str | None
    by_annotator: dict[str, int]


class Agreement(NamedTuple):
    """How far answers to the same rows agree.

    num_rows: rows that were answered twice. share: of pairs of answers that are the same (of numbers: None).
    kappa: Cohen's, chance left out; of several annotators the mean over pairs of them, by rows shared; of several
    labels the mean over labels; None where it cannot be said. difference: mean absolute one, of numbers only.
    """

    num_rows: int
    share: float | None
    kappa: float | None
    difference: float | None
