"""bal export."""

import csv
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from bal.cli.commands import Export
from bal.records import load, read_events, write_parquet
from bal.records.log import LOG


def export(command: Export, console: Console) -> int:
    """Every pick of every record under a folder into one file."""
    if command.out.suffix == ".json" or (command.out.suffix == ".csv" and holds_labels(command.root)):
        from bal.labeling.exporting import write_entries
        from bal.labeling.recorded import read_entries

        number = write_entries(command.out, *read_entries(command.root))
        console.print(f"{number} answers: {command.out}", markup=False, highlight=False, soft_wrap=True)
        return 0
    kinds = {".csv": write_csv, ".parquet": write_parquet}
    write = kinds.get(command.out.suffix)
    if write is None:
        raise ValueError(f"expected a file that ends in .csv, .parquet or, for labels, .json, got {command.out}")
    columns = load(command.root)
    if not columns or not len(columns["row"]):
        raise ValueError(f"no picks are on record under {command.root}; pass the folder of records")
    if not command.out.absolute().parent.is_dir():
        raise ValueError(f"{command.out.parent} is no folder; make it, or name another file")
    write(columns, command.out)
    text = f"{len(columns['row'])} picks in {len(columns)} columns: {command.out}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    return 0


def holds_labels(root: Path) -> bool:
    """Whether what is under a folder was written by a desk."""
    files = [file for pattern in ("", "*/", "*/*/") for file in sorted(root.glob(f"{pattern}{LOG}"))]
    return bool(files) and any(event["kind"] == "desk" for event in read_events(files[0].parent)[0][:9])


def other_ways(root: Path) -> str:
    """What reads answers of people, where `bal status` and `bal report` have nothing to say."""
    return f"people's answers are under {root}: bal export {root} labels.csv writes them, bal watch {root} shows them"


def write_csv(columns: dict[str, Any], path: Path) -> None:
    """Columns as a CSV file with a line of their names; floats to their last digit. It appears as a whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*(values.tolist() for values in columns.values())))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
