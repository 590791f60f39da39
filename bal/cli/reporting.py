"""bal report: what the records under a folder say, as a page."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bal.cli.commands import Report
from bal.sweep.studies import Studied, studies

USUAL = ("accuracy", "rmse")
"""What decides where nobody says, in this order."""


def report(command: Report, console: Console) -> int:
    """A page on all studies under a folder, in the terminal and in the folder `out`; or what is documented there."""
    return _governance(command, console) if command.governance else _studies(command, console)


def _studies(command: Report, console: Console) -> int:
    say = lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)
    every = {study.title: study for study in studies(command.root)}
    found = {title: study for title, study in every.items() if study.seeds}
    why = [f"{title}: {words}" for title, study in every.items() if not study.seeds for words in study.left_out]
    if every and not found:
        raise ValueError(f"nothing under {command.root} can be compared yet: {'; '.join(why)}; finish those seeds")
    if not found:
        from bal.cli.exporting import holds_labels, other_ways

        other = other_ways(command.root) if holds_labels(command.root) else "see bal status"
        raise ValueError(f"no record under {command.root} has a metric; {other}")
    metric = command.metric or _usual(found)
    names = dict.fromkeys(name for study in found.values() for name in study.metrics)
    if metric not in names:
        raise ValueError(f"no study under {command.root} has the metric {metric}; on record are {', '.join(names)}")
    told, more = _comparable(found, metric, command.baseline)
    why += more
    if told:
        from bal.evaluation import report as page_of
        from bal.evaluation import write_report
        from bal.evaluation.reports.findings import GAINS, LOSSES

        better = None if command.lower_is_better is None else not command.lower_is_better
        if better is None and metric not in GAINS | LOSSES:
            raise ValueError(f"whether more {metric} is better is not known; say --lower-is-better True or False")
        options: dict[str, Any] = {"baseline": command.baseline, "higher_is_better": better, "target": command.target}
        page = page_of(told, metric, title=f"Studies under {command.root}", **options)
        console.print(page)
        command.out.mkdir(parents=True, exist_ok=True)
        for ending in ("html", "md"):
            write_report(page, command.out / f"report.{ending}")
            say(f"page: {command.out / f'report.{ending}'}")
    for line in why:
        say(line)
    return 0 if told else 1


def _usual(found: dict[str, Studied]) -> str:
    """The metric that decides by default: one that all studies have, if there is any."""
    names = [name for study in found.values() for name in study.metrics]
    shared = [name for name in dict.fromkeys(names) if names.count(name) == len(found)] or names
    return next((name for name in USUAL if name in shared), shared[0])


def _comparable(found: dict[str, Studied], metric: str, baseline: str) -> tuple[dict[str, Studied], list[str]]:
    """Studies that the page can compare, and why others are left out."""
    told, why = {}, []
    for title, study in found.items():
        why += [f"{title}: left out, {words}" for words in study.left_out]
        curves = study.metrics.get(metric, {})
        if baseline not in curves:
            others = f"; --baseline may be {', '.join(curves)}" if curves else ""
            why.append(f"{title}: not on the page, for {metric} of {baseline} was not measured{others}")
        elif len(study.seeds) < 2:
            why.append(f"{title}: not on the page, for one seed can be compared with nothing")
        elif unusable := [name for name, values in curves.items() if not np.isfinite(values).all()]:
            bad = [str(seed) for seed, ok in zip(study.seeds, _finite(curves, unusable[0])) if not ok]
            seeds = f"seed{'s' * (len(bad) > 1)} {', '.join(bad[:9])}{', ...' * (len(bad) > 9)}"
            why.append(f"{title}: not on the page, for {metric} of {unusable[0]} is not finite in {seeds}")
        else:
            told[title] = study
    return told, why


def _finite(curves: dict[str, np.ndarray], name: str) -> np.ndarray:
    """For each seed of a strategy whether all its values are numbers."""
    return np.isfinite(curves[name]).all(axis=1)


def _governance(command: Report, console: Console) -> int:
    """One page a record, in Markdown."""
    from bal.records import governance

    paths = sorted(file.parent for file in Path(command.root).glob("*/*/config.json"))
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(command.root).parts)]
    if not paths:
        raise ValueError(f"no record under {command.root}; pass the folder that was given to open_record or to a study")
    command.out.mkdir(parents=True, exist_ok=True)
    for path in paths:
        page = command.out / f"governance-{path.parent.name}-{path.name}.md"
        page.write_text(governance(path), encoding="utf-8")
        console.print(f"page: {page}", markup=False, highlight=False, soft_wrap=True)
    return 0
