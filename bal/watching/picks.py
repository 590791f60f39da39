"""Which rows were asked for in a round, and why: what is on record of each pick."""

from pathlib import Path
from typing import Any, NamedTuple

from bal.records.reading import read_record


class Picks(NamedTuple):
    """The picks of one round in order, as columns of one length, and what is told of the round as a whole."""

    number: int
    columns: dict[str, list[Any]]
    whole: dict[str, Any]

    @property
    def rows(self) -> list[int]:
        """Rows of the pool."""
        return self.columns["row"]


def picks(path: Path, seed: int) -> list[Picks]:
    """The rounds of one seed of a record, with all that each pick is known by.

    Columns are the row of the pool, its score, what the model that asked predicted of it, its label, and whatever else
    is on record for each pick: ``log_q``, who answered, the cost, arrays of ``info`` that have one entry a pick. What a
    round says of itself (diagnostics, counts, info) is beside them.

    Args:
      path: folder of the record.
      seed: which seed.

    Raises:
      CorruptRecordError: a record whose files were changed.
    """
    events = [event for event in read_record(path).events if event["kind"] == "round" and event["seed"] == seed]
    return [_of_round(event) for event in events]


def _of_round(event: dict[str, Any]) -> Picks:
    number = len(event["acquired"])
    info = {name: value for name, value in event.get("info", {}).items() if name != "measured"}
    lists = {name: value for name, value in info.items() if isinstance(value, list) and len(value) == number}
    each = {"row": event["acquired"], "score": event["scores"]}
    each |= {name: lists[name] for name in ("predicted", "predicted_variance") if name in lists}
    each |= {"label": event["labels"]} if "labels" in event else {}
    each |= {name: event[name] for name in ("log_q", "annotator", "cost") if name in event} | lists
    valid = [place for place in range(number) if event["valid"][place]]
    columns = {name: [values[place] for place in valid] for name, values in each.items()}
    whole = {name: value for name, value in info.items() if name not in lists and not isinstance(value, list | dict)}
    diagnostics = {name: value for name, value in event.get("diagnostics", {}).items() if not isinstance(value, dict)}
    scored = {"scored": event["scored"]} if "scored" in event else {}
    return Picks(event["round"], columns, scored | diagnostics | whole)


def predicted_in_words(predicted: Any, variance: Any = None, label: Any = None) -> str:
    """The likeliest class and its probability; a number and its standard deviation; where labels are sets or several
    numbers, each of them.

    >>> predicted_in_words([0.25, 0.75], label=0), predicted_in_words(1.5, 0.25), predicted_in_words(7)
    ('1 (75%)', '1.5 ± 0.5', '7')
    """
    if variance is not None:
        each = zip(predicted, variance) if isinstance(predicted, list) else [(predicted, variance)]
        return ", ".join(f"{mean:.3g} ± {spread**0.5:.2g}" for mean, spread in each)
    if not isinstance(predicted, list):
        return "–" if predicted is None else str(predicted)
    if isinstance(label, list):
        return ", ".join(f"{chance:.0%}" for chance in predicted)
    likeliest = max(predicted)
    return f"{predicted.index(likeliest)} ({likeliest:.0%})"
