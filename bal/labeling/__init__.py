"""People give labels, at a page or in a notebook: the desk that hands out items and keeps every answer.

A function of one's own returns a `Labeling`: rows, a learner, a query, and how a row is shown, as data: `image`,
`text`, `table`, `series`, `scatter`. There is no user interface in here: a page, a notebook or a test is handed items
and gives answers.
"""

from bal.labeling.desk import Desk
from bal.labeling.nouns import (
    Agreement,
    Entry,
    Finished,
    Item,
    Labeling,
    Number,
    Progress,
    Quality,
    Reveal,
    Waiting,
)
from bal.labeling.recorded import Recorded, recorded_labels, recorded_oracle
from bal.labeling.views import View, image, scatter, series, table, text

__all__ = [
    "Agreement",
    "Desk",
    "Entry",
    "Finished",
    "Item",
    "Labeling",
    "Number",
    "Progress",
    "Quality",
    "Recorded",
    "Reveal",
    "View",
    "Waiting",
    "image",
    "recorded_labels",
    "recorded_oracle",
    "scatter",
    "series",
    "table",
    "text",
]
