"""One run as a page for people who have to account for it: what is on record, in words, and what is not."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bal.records.campaigns import lines
from bal.records.reading import CAMPAIGN_KINDS, Contents, read_record, warn_of_torn_tail
from bal.records.rounds import valid_ids
from bal.records.tables import flat
from bal.records.timings import timings
from bal.records.writers import load_writers, written_by

SUPPORTS = {
    "Data": ("MAP 2.3", "MEASURE 2.1", "ISO/IEC 42001 A.7.2, A.7.5", "ISO/IEC 5259-2, -3"),
    "Method": ("MAP 2.1", "MEASURE 2.9", "ISO/IEC 42001 A.6.2.3, A.6.2.7"),
    "Code and environment": ("MAP 4.1", "MEASURE 2.1", "ISO/IEC 42001 A.4.4, A.4.5"),
    "Who labeled": ("MAP 3.5", "MEASURE 2.8", "ISO/IEC 42001 A.4.6, A.7.3", "ISO/IEC 5259-4"),
    "What was chosen, and why": ("MAP 2.3", "MEASURE 2.8", "ISO/IEC 42001 A.7.3, A.7.4", "ISO/IEC 25059 transparency"),
    "What was measured": ("MEASURE 2.1", "MEASURE 2.3", "ISO/IEC 42001 A.6.2.4", "ISO/IEC TS 4213"),
    "What it took": ("MEASURE 2.12", "ISO/IEC 42001 A.4.5"),
    "Integrity": ("GOVERN 1.4", "ISO/IEC 42001 A.6.2.8", "ISO/IEC 23894 6.7"),
    "What is not recorded": ("MAP 2.2", "MEASURE 1.1", "ISO/IEC 23894 6.7"),
}
"""Sections of the page, and what each may be put beside: subcategories of the NIST AI RMF 1.0, parts of ISO/IEC
documents. Documentation support; no claim of conformity follows from it."""

_NEVER = (
    "where the data come from, under which license and consent, and whom they are about",
    "what the model is for, and the harm that a wrong prediction may do",
    "how well it does on groups of people or conditions that no metric above names",
    "what becomes of it after the last round",
)
_DISCLAIMER = (
    "Documentation support, written from the record alone. It shows what can be put beside the named parts of the NIST "
    "AI RMF and of ISO/IEC documents; it is no assessment, and no claim of conformity follows from it."
)


def governance(path: str | Path) -> str:
    """A page of Markdown about the record in folder `path`: data, code, who labeled, what was chosen and why, and what
    nobody wrote down.

    Everything is read from the record; the last section names what it lacks. ``docs/governance.md`` says beside which
    parts of the NIST AI RMF and of ISO/IEC documents each section can be put, as documentation support.

    Use it for a file that goes with a model or a paper; for analyses, `load`.

    Args:
      path: folder of a record of an experiment or a campaign.

    Raises:
      CorruptRecordError: a file was changed.
      FileNotFoundError: the folder is no record.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> with open_record(tempfile.mkdtemp(), "demo", {"learner": "forest"}, "abc") as record:
    ...     record.append([{"kind": "tell", "rows": [4], "labels": [1], "annotator": "Ann"}])
    >>> page = governance(record.path)
    >>> [line for line in page.splitlines() if "Ann" in line or "forest" in line]
    ['- learner: forest', '- Ann: 1 answer']
    """
    path = Path(path)
    contents = read_record(path)
    warn_of_torn_tail(path, contents.report)
    writers, answers = load_writers(path), lines(contents.events, str(path))
    rounds = [event for event in contents.events if event["kind"] == "round"]
    opened = [event.get("run", event) for event in contents.events if event["kind"] == "open"]
    lacking = list(_lacking(contents, writers, rounds, opened, answers, timings(path)))
    sections = {
        "Data": _data(contents, opened),
        "Method": _method(contents, opened),
        "Code and environment": _environments(writers),
        "Who labeled": _labelers(rounds, answers),
        "What was chosen, and why": _chosen(rounds, answers, contents.events),
        "What was measured": _measured(rounds),
        "What it took": _took(timings(path)),
        "Integrity": _integrity(contents),
        "What is not recorded": lacking,
    }
    page = [f"# Record {path.parent.name}/{path.name}", "", _DISCLAIMER]
    for title, said in sections.items():
        page += ["", f"## {title}", "", *(f"- {line}" for line in said or ["nothing on record"])]
        page += ["", f"Can be put beside: {'; '.join(SUPPORTS[title])}."]
    return "\n".join(page) + "\n"


def _data(contents: Contents, opened: list[dict[str, Any]]) -> list[str]:
    said = [f"fingerprint: {contents.fingerprint}"] if contents.fingerprint else []
    for name, words in (
        ("rows", "inputs"),
        ("pool", "inputs"),
        ("present", "rows that exist and costs"),
        ("cost", "costs"),
    ):
        digests = sorted({run[name] for run in opened if isinstance(run.get(name), str)})
        said += [f"digest of {words}: {_some(digests)}"] if digests else []
    tests = sorted({_told(run["test set"]) for run in opened if "test set" in run})
    return said + ([f"test set: {_some(tests)}"] if tests else [])


def _method(contents: Contents, opened: list[dict[str, Any]]) -> list[str]:
    said = [f"{name}: {value}" for name, value in flat(contents.config, "")]
    said = [line.removeprefix(".") for line in said]
    for name in ("learner", "query", "evaluate"):
        found = sorted({_told(run[name]) for run in opened if isinstance(run.get(name), str)})
        said += [f"{name}, as it ran: {_some(found)}"] if found else []
    return said


def _environments(writers: list[dict[str, Any]]) -> list[str]:
    said = []
    for entry in writers:
        packages = {name: version for name, version in (entry.get("packages") or {}).items() if version}
        said.append(f"from event {entry.get('first_event', 0)} on: {written_by([entry])}")
        said.append(f"Python {entry.get('python')} on {entry.get('platform')}; {_pairs(packages)}")
        if entry.get("script"):
            said.append(f"script {entry['script'].get('name')}, SHA-256 {str(entry['script'].get('sha256'))[:12]}")
        if entry.get("variables"):
            said.append(f"settings: {_pairs(entry['variables'])}")
    return said


def _labelers(rounds: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[str]:
    named: Counter[str] = Counter()
    for event in rounds:
        who = event.get("annotator") or [None] * len(event["acquired"])
        named.update(_name(name) for name, valid in zip(who, event["valid"]) if valid)
    named.update(
        _name(line["annotator"]) for line in answers if line["state"] in ("answered", "corrected", "withdrawn")
    )
    said = [f"{name}: {_count(number, 'answer')}" for name, number in sorted(named.items())]
    told = [event.get("cost", [1.0] * len(event["acquired"])) for event in rounds]
    costs = [cost for event, each in zip(rounds, told) for cost, valid in zip(each, event["valid"]) if valid]
    costs += [line["cost"] for line in answers if line["cost"] is not None]
    for state in ("corrected", "withdrawn", "skipped", "pending"):
        number = sum(line["state"] == state for line in answers)
        said += [f"{state}: {number}"] if number else []
    return said + ([f"cost of all labels: {sum(costs):g}"] if costs else [])


def _chosen(rounds: list[dict[str, Any]], answers: list[dict[str, Any]], events: list[dict[str, Any]]) -> list[str]:
    seeds = sorted({event["seed"] for event in rounds})
    later = [event for event in rounds if event["round"] > 0]
    said = []
    if rounds:
        picks, start = sum(len(valid_ids(event)) for event in later), sum(len(valid_ids(event)) for event in rounds)
        said.append(f"{_count(len(seeds), 'seed')}, {_count(picks, 'pick')} beside {start - picks} rows of start sets")
        scored = sum(any(np.isfinite(score) for score in event["scores"]) for event in later)
        said.append(f"{scored} of {len(later)} rounds have the score by which each row was picked")
        drawn = sum("log_q" in event or "log_q" in event.get("info", {}) for event in later)
        said.append(f"{drawn} of {len(later)} rounds have the probability of each pick (log_q)")
        for name, words in (("all_equal", "chose among equal scores"), ("num_nan", "met scores that are no numbers")):
            odd = sum(bool(np.any(event.get("info", {}).get(name, 0))) for event in later)
            said += [f"{odd} of {len(later)} rounds {words}"] if odd else []
        unfinished = sum(not np.all(event.get("info", {}).get("converged", True)) for event in later)
        said += (
            [f"{unfinished} of {len(later)} rounds were asked of a fit that had not converged"] if unfinished else []
        )
    asks = [event for event in events if event["kind"] == "ask"]
    if asks or answers:
        said.append(f"{_count(len(asks), 'ask')}, {_count(sum(len(event['rows']) for event in asks), 'row')} asked for")
        unasked = sum(line["score"] is None for line in answers)
        said += [f"{_count(unasked, 'row')} told without being asked for"] if unasked else []
    return said


def _measured(rounds: list[dict[str, Any]]) -> list[str]:
    said = []
    first, last = ({e["seed"]: e for e in order} for order in (reversed(rounds), rounds))
    for name in sorted({name for event in rounds for name in event["metrics"]}):
        of = lambda events, name=name: [e["metrics"][name] for e in events.values() if name in e["metrics"]]
        start, end = of(first), of(last)
        said.append(
            f"{name}: mean {np.mean(start):.4g} at first, {np.mean(end):.4g} at last, {_count(len(end), 'seed')}"
        )
    return said


def _took(entries: list[dict[str, Any]]) -> list[str]:
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry.get("times", {}))
    said = [f"{name}: {seconds:.3g} s" for name, seconds in total.items()]
    peaks = [entry["memory"] for entry in entries if entry.get("memory")]
    return said + ([f"peak memory: {max(peaks) / 2**20:.0f} MiB"] if peaks else [])


def _integrity(contents: Contents) -> list[str]:
    what = "finished and sealed" if contents.summary is not None else "not finished"
    torn = contents.report.dropped_bytes
    said = [f"schema {contents.schema}, {_count(len(contents.events), 'event')}, {what}"]
    said.append(f"last digest of the chain: {contents.chain}")
    return said + ([f"a torn tail of {torn} bytes was passed over"] if torn else [])


def _lacking(
    contents: Contents,
    writers: list[dict[str, Any]],
    rounds: list[dict[str, Any]],
    opened: list[dict[str, Any]],
    answers: list[dict[str, Any]],
    took: list[dict[str, Any]],
) -> Iterator[str]:
    later = [event for event in rounds if event["round"] > 0]
    if not any(event.get("annotator") for event in rounds) and not any(line["annotator"] for line in answers):
        yield "who gave the labels"
    if later and not all("log_q" in event or "log_q" in event.get("info", {}) for event in later):
        yield "the probability of every pick: estimates that correct for the choice of labels cannot be made of all"
    if not opened:
        yield "digests of the data as they were used"
    if not (
        any(event["metrics"] for event in rounds) or any(event["kind"] in CAMPAIGN_KINDS for event in contents.events)
    ):
        yield "any measurement of the model"
    if not writers:
        yield "by what code it was made"
    if any((entry.get("git") or {}).get("dirty") for entry in writers):
        yield "the changes to the source beyond its commit (a digest of the source is)"
    if contents.schema < 3:
        yield "a chain over the events, which schema 3 has"
    if not took:
        yield "what it took in time and memory"
    yield from _NEVER


def _told(text: str) -> str:
    """The functions, or the array, that a description names; its first line is of versions."""
    values = [line.split(": ", 1)[1] for line in text.splitlines()[1:] if ": " in line]
    names = [
        value
        for value in values
        if "." in value.split(" ")[0] and " of " not in value and value[0] not in "-.0123456789'"
    ]
    found = list(dict.fromkeys(names or [value for value in values if " of " not in value]))
    return ", ".join(found[:6]) + (", ..." if len(found) > 6 else "")


def _name(name: str | None) -> str:
    return "nobody named" if name is None else name


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _some(values: list[str]) -> str:
    return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")
