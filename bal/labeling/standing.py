"""Where labeling stands, from the books of a desk and its fits; the desk's lock is held around it."""

import numpy as np

from bal.labeling.books import Books
from bal.labeling.forms import Form, label, stored
from bal.labeling.measures import labels_per_hour, quality
from bal.labeling.nouns import Entry, Labeling, Progress, Quality
from bal.labeling.refitting import Refitting


def progress_of(labeling: Labeling, form: Form, books: Books, fits: Refitting, stopped: str | None) -> Progress:
    """Counts of what stands; `stopped` is why labeling ended."""
    entries = books.ledger.entries
    stand = [entry for entry in entries if entry.state == "stands"]
    said = [entry for entry in stand if entry.answer is not None]
    answered = {entry.row for entry in said}
    given_up = {entry.row for entry in stand if entry.answer is None and entry.what != "test"}
    labels = books.campaign.num_labeled
    people = sorted({entry.annotator for entry in said if entry.annotator is not None})
    return Progress(
        labels=labels,
        answers=len(said),
        skipped=len(given_up - answered),
        left=fits.left(),
        budget_left=None if labeling.budget is None else max(labeling.budget - labels, 0),
        labels_per_hour=labels_per_hour(entries),
        quality=_quality(labeling, form, fits.of_test, said),
        round=fits.round,
        refitting=fits.running,
        stopped=stopped,
        fault=fits.fault,
        by_annotator={name: sum(entry.annotator == name for entry in said) for name in people},
    )


def _quality(labeling: Labeling, form: Form, believed: np.ndarray | None, said: list[Entry]) -> Quality | None:
    if believed is None:
        return None
    believed = believed[:, 0] if form.number is not None else believed
    if labeling.test is not None:
        held = np.asarray(labeling.test[1]).tolist()
        return quality(form, believed, held, len(held))
    first = {entry.row: entry for entry in reversed(said) if entry.what == "test"}
    places = [place for place, row in enumerate(form.test_rows) if row in first]
    held = [stored(form, label(form, first[form.test_rows[place]].answer)) for place in places]
    return quality(form, believed[places], held, len(form.test_rows))
