"""What a run leaves on disk: resumed after a kill, checked to the last bit, read back as a table.

``root/name/<sha12>/`` is one run; sha12 are the first digits of the SHA-256 of its ``config.json``:

    config.json    canonical JSON of config, data fingerprint and schema version; written once, never edited
    env.json       each environment that wrote to the record: versions, platform, digests of the package's source and of
                   the script, commit, the variables that change bits, and how many events came before
    events.jsonl   append only, one event a line: "crc32 chain json\\n"; one fsync an append. The log is the truth
    events.torn    what was cut off behind the last intact event after a kill
    state.npz      optional arrays of one round, replaced as a whole, with length and SHA-256 of the log at that time
    timings.jsonl  optional: what parts of the run took; in a file of its own, so that logs of equal runs are equal
    done.json      written last: SHA-256 of the log, and a summary; taken away when a record is reopened to grow
    lock           held by the one writer

``root/name/.replaced/`` holds runs that were started over; no reader looks there.

Config and data make the identity, code does not: a record says whose it is, and opening it under other code is warned
of. The number of seeds belongs into the summary rather than into the config, so that a study can grow.

No file is ever unpickled. Changed bits are noticed by checksums; what was changed, dropped, moved or added with its
checksum mended by the chain, in which each line carries a digest of itself and all before it. Neither is a defense
against somebody who writes the whole log anew: the last digest is (`bal.records.chain`), where it was published.

An event is a dict with the text ``kind``. Kinds other than "round" ("note", ...) are free-form; those of a
campaign are

    open      how it was opened: digests of rows and costs, kinds of labels, capacities, learner and query in words
    ask       rows, scores, queries: how many asks fitted the learner; late: events before it that the fit did not see
    tell      rows, labels; annotator, weight, cost: one for all or a list, where they were given; seconds an answer
    correct   rows, labels that replace those that stand; annotator: whose, where that was said
    withdraw  rows; annotator: whose answers are taken back, where that was said
    skip      rows that were given up; annotator and seconds, where they were said
    add       rows that joined the pool

with digests of the rows, their own names (ids), and the time (at); `answers` makes a list of answers of them. Labels of
classes are numbers there, whose names are in "open". Schema 1, which is read too, has no correct and no withdraw, and
its first campaigns no open; schemas 1 and 2 have no chain. A round is

    kind      "round"
    seed      int
    round     int: 0, 1, 2, ... for each seed without gaps; round 0 may be the start set
    acquired  [pool ids], in order; no id twice in one seed
    scores    [floats], NaN where a pick has none
    valid     [bools]; False = nothing was left to pick, the id means nothing
    labels    [...], may be absent; all these lists have one length
    metrics   {name: number}
    counts    {acquired, training, start, validation}: ints, counted separately
    seconds   float or None; leave it None where logs of equal runs are to be equal byte by byte, see `timings`
    info      {...} free-form, may be absent; before schema 3 the place of log_q

and from schema 3 on, where they are known,

    log_q        [floats], log P(pick | earlier picks): what estimates from chosen labels need
    annotator    [names or None], who answered; cost: [floats], what each label cost (absent: 1 each)
    scored       int, rows whose scores the query compared
    diagnostics  {name: number, or {name: int}}: see `diagnostics`

Under `info`, and under `told` of an ask, stands what the model that asked predicted of the picks, averaged over draws:
``predicted``, class probabilities (of up to 100 classes) or the mean, and ``predicted_variance`` of what is a number.
Records of earlier versions, and start sets drawn at random, have none.

Values are None, bool, int, float, str, lists, tuples, dicts with text keys and numpy arrays or scalars; they
read back as builtin types. Floats read back exactly; NaN and infinities are written as ``{"$float": "nan"}``,
``{"$float": "inf"}`` and ``{"$float": "-inf"}``, and the key "$float" is refused.

This package imports no jax: logs can be read anywhere.
"""

from bal.records.campaigns import answers
from bal.records.diagnostics import diagnostics
from bal.records.errors import CorruptRecordError, RecordLockedError
from bal.records.frame import load
from bal.records.governance import governance
from bal.records.log import LogReport, read_events
from bal.records.opening import identity, open_record
from bal.records.parquet import write_parquet
from bal.records.reading import acquired, chain
from bal.records.record import Record
from bal.records.tables import table
from bal.records.timings import timings
from bal.records.trackers import Tracker, mlflow, tensorboard, wandb

__all__ = [
    "CorruptRecordError",
    "LogReport",
    "Record",
    "RecordLockedError",
    "Tracker",
    "acquired",
    "answers",
    "chain",
    "diagnostics",
    "governance",
    "identity",
    "load",
    "mlflow",
    "open_record",
    "read_events",
    "table",
    "tensorboard",
    "timings",
    "wandb",
    "write_parquet",
]
