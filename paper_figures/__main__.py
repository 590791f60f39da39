"""The gallery: docs/figures.md and a page a figure, made of what every figure said of itself at scale cpu.

    python -m paper_figures

Pictures and outcomes that lie in the folder of figures are taken up into docs/figures/ if their run ended well; then
the pages are written anew from all that lies there. Nothing on them is written by hand.
"""

import ast
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from paper_figures.claims import tally
from paper_figures.figure import GALLERY, where

FOLDER = Path(__file__).parent
HEAD = """# Paper figures

Published results, each one command, each claim with a verdict: {total}. Every claim that can be judged at this scale
is reproduced in {whole}.

What a claim says, the published value, and how it is judged were fixed before the run; what is not reproduced stays
here and says so. Pictures are those of scale
`cpu`, minutes on two cores, and captions say how that departs from the paper. Numbers in brackets are 95 % intervals of
the mean over seeds. These pages are made by `python -m paper_figures` from `docs/figures/`.

| picture | figure | claims |
|---|---|---|
"""

TAIL = """
## Not on this page yet

No outcome of these at scale `cpu` has been taken up here. What earlier runs of some gave is in words on the page of
[studies](studies.md).

| command | what |
|---|---|
"""


@dataclass(frozen=True)
class Config:
    """Where to look."""

    figures: Path = Path("figures")
    """Folder of pictures that figures have drawn."""


def take_up(figures: Path, gallery: Path = GALLERY) -> list[str]:
    """Copy pictures and outcomes of scale cpu into the gallery; stand-ins stay out. Returns the names."""
    taken = []
    for file in sorted(figures.glob("*_cpu.json")):
        told = json.loads(file.read_text())
        picture, name = file.with_suffix(".png"), file.stem.removesuffix("_cpu")
        if picture.exists() and "stand-in" not in told["data"]:
            gallery.mkdir(parents=True, exist_ok=True)
            for found in (file, picture):
                shutil.copyfile(found, gallery / f"{name}{found.suffix}")
            taken.append(name)
    return taken


def outcomes(gallery: Path = GALLERY) -> dict[str, dict[str, Any]]:
    """What lies in the gallery, by name."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(gallery.glob("*.json"))}


def figures() -> dict[str, str]:
    """The docstring of every figure, by module."""
    files = {file.stem: file.read_text() for file in sorted(FOLDER.glob("*.py"))}
    of = {name: text for name, text in files.items() if re.search(r"^FIGURE = ", text, re.MULTILINE)}
    return {name: ast.get_docstring(ast.parse(text)) or "" for name, text in of.items()}


def cell(text: str) -> str:
    """Text of a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def caption(text: str) -> str:
    """A docstring without its title and its commands, which are indented, as Markdown."""
    paragraphs = re.split(r"\n\s*\n", text.strip())[1:]
    return "\n\n".join(
        re.sub(r"``([^`]+)``", r"`\1`", part.strip()) for part in paragraphs if not part.startswith("    ")
    )


def row(name: str, told: dict[str, Any]) -> str:
    """A row of the gallery: picture and title, which lead to the page of the figure, and how many claims held."""
    title, link = cell(told["title"]), f"figures/{name}.md"
    held = tally([claim["verdict"] for claim in told["claims"]])
    return f"| [![{title}](figures/{name}.png)]({link}) | [{title}]({link}) | {held} |\n"


def page(name: str, told: dict[str, Any], text: str) -> str:
    """The page of a figure: picture, caption from its docstring as it is now, claims and how it was made."""
    rows = [
        f"| {cell(one['statement'])} | {cell(one['published'])} ({cell(one['source'])}) | {cell(one['ours'])} | "
        f"{cell(one['judged by'])} | **{one['verdict']}** |"
        for one in told["claims"]
    ]
    minutes = f"{told['seconds'] / 60:.0f} minutes" if told["seconds"] > 90 else f"{told['seconds']:.0f} seconds"
    table = "\n".join(["| claim | published | ours | judged by | verdict |", "|---|---|---|---|---|", *rows])
    source = f"Commit {told['commit'] or 'unknown'}{' with changes' if told['changed'] else ''}"
    made = f"`{told['command']}`: {minutes} on {where(told)}. Data: {told['data']}. {source}."
    return (
        f"# {told['title']}\n\n![{told['title']}]({name}.png)\n\n{caption(text)}\n\n{table}\n\n{made}\n\n"
        "[All figures](../figures.md)\n"
    )


def pages(found: dict[str, dict[str, Any]], all_figures: dict[str, str]) -> dict[str, str]:
    """All pages by their path, from outcomes by name and the figures that there are."""
    total = tally([claim["verdict"] for told in found.values() for claim in told["claims"]]) or "none was run yet"
    failed = lambda told: any(claim["verdict"] == "not reproduced" for claim in told["claims"])
    clean = [told["title"] for told in found.values() if not failed(told)]
    whole = f"{len(clean)} of {len(found)} figures" + (f" ({', '.join(clean)})" if clean else "")
    missing = sorted(set(all_figures) - {told["name"] for told in found.values()})
    titles = {name: cell(all_figures[name].splitlines()[0]) for name in missing}
    rows = [f"| `python -m paper_figures.{name} --scale cpu` | {title} |" for name, title in titles.items()]
    tail = TAIL + "\n".join(rows) + "\n" if rows else ""
    gallery = HEAD.format(total=total, whole=whole) + "".join(row(name, told) for name, told in found.items()) + tail
    each = {f"figures/{name}.md": page(name, told, all_figures[told["name"]]) for name, told in found.items()}
    return {"figures.md": gallery} | each


def main(config: Config) -> None:
    """Take up what is new, and write the pages."""
    taken, docs = take_up(config.figures), GALLERY.parent
    for stale in GALLERY.glob("*.md"):
        stale.unlink()
    for path, text in pages(outcomes(), figures()).items():
        (docs / path).write_text(text)
    said = f"taken up: {', '.join(taken) or f'nothing in {config.figures}'}; pages: {docs / 'figures.md'} and {GALLERY}"
    Console().print(said, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
