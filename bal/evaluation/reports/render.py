"""A page for the terminal, as Markdown, and as one HTML file that loads nothing and runs nothing."""

import base64
import html
import io
import re
from pathlib import Path

import rich.box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bal.evaluation.plots import save
from bal.evaluation.reports.document import Block, Grid, Heading, Picture, Points, Report, Words

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
h3 { font-size: 1.05rem; margin-top: 1.6rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th { border-bottom: 2px solid #888; } th:first-child, td:first-child { text-align: left; font-weight: 600; }
figure { margin: 1.2rem 0; } img { width: 46rem; max-width: 100%; } figcaption { font-size: .85rem; color: #555; }
li { margin: .3rem 0; }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(report: Report, path: str | Path) -> None:
    """Write a page; the suffix of the path chooses ``.html``, ``.md`` or ``.txt``.

    An HTML file holds its pictures and runs no scripts; beside Markdown there is a folder of them, ``<name>_pictures``.

    Use it where `bal.evaluation.report` was not given a path, or for another kind.

    Raises:
      ValueError: another suffix.

    >>> import tempfile
    >>> from bal.evaluation.reports.document import Words
    >>> path = Path(tempfile.mkdtemp()) / "page.md"
    >>> write_report(Report("A title", (Words("2 < 3"),)), path)
    >>> print(path.read_text())
    # A title
    <BLANKLINE>
    2 \\< 3
    <BLANKLINE>
    """
    path = Path(path)
    if path.suffix not in (".html", ".md", ".txt"):
        raise ValueError(f"expected a path that ends in .html, .md or .txt, got {path.name}; choose one of these")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        text = to_html(report)
    elif path.suffix == ".md":
        pictures = path.parent / f"{path.stem}_pictures"
        for block in report.blocks:
            if isinstance(block, Picture):
                pictures.mkdir(exist_ok=True)
                save(block.draw(), pictures / f"{block.name}.png")
        text = to_markdown(report, pictures.name)
    else:
        text = to_text(report)
    path.write_text(text, encoding="utf-8")


def to_html(report: Report) -> str:
    """The page as HTML, everything in it, everything escaped."""
    title = html.escape(report.title)
    body = "\n".join(_html(block) for block in (Heading(report.title, 1), *report.blocks))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    clean = lambda text: html.escape(text).replace("\n", "<br>")
    match block:
        case Heading(text, level):
            return f"<h{level}>{clean(text)}</h{level}>"
        case Words(text):
            return f"<p>{clean(text)}</p>"
        case Points(items):
            strong = lambda lead: f"<strong>{clean(lead)}</strong> " if lead else ""
            return "<ul>\n" + "\n".join(f"<li>{strong(lead)}{clean(text)}</li>" for lead, text in items) + "\n</ul>"
        case Grid(header, rows):
            line = lambda cells, tag: "<tr>" + "".join(f"<{tag}>{clean(cell)}</{tag}>" for cell in cells) + "</tr>"
            body = "\n".join(line(row, "td") for row in rows)
            return f"<table>\n<thead>{line(header, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        case Picture(_, draw, words):
            save(draw(), file := io.BytesIO(), "svg")
            data = base64.b64encode(file.getvalue()).decode()
            source = f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(words)}">'
            return f"<figure>{source}<figcaption>{clean(words)}</figcaption></figure>"


def to_markdown(report: Report, pictures: str) -> str:
    """The page as Markdown, with its pictures in a folder of that name."""
    clean = lambda text: re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text).replace("\n", "<br>")

    def one(block: Block) -> str:
        match block:
            case Heading(text, level):
                return f"{'#' * level} {clean(text)}"
            case Words(text):
                return clean(text)
            case Points(items):
                return "\n".join(
                    f"- **{clean(lead)}** {clean(text)}" if lead else f"- {clean(text)}" for lead, text in items
                )
            case Grid(header, rows):
                line = lambda cells: "| " + " | ".join(map(clean, cells)) + " |"
                rule = "|---|" + "---:|" * (len(header) - 1)
                return "\n".join([line(header), rule, *map(line, rows)])
            case Picture(name, _, words):
                return f"![{clean(words)}]({pictures}/{name}.png)"

    return "\n\n".join(map(one, (Heading(report.title, 1), *report.blocks))) + "\n"


def to_rich(report: Report) -> RenderableType:
    """The page for a terminal; pictures are left out."""

    def one(block: Block) -> RenderableType:
        match block:
            case Heading(text, level):
                return Text(f"{text}\n" if level == 1 else f"\n{text}", style="bold" if level > 1 else "bold underline")
            case Words(text):
                return Text(text)
            case Points(items):
                lines = Table.grid(padding=(0, 1))
                lines.add_column(no_wrap=True)
                lines.add_column()
                for lead, text in items:
                    lines.add_row("-", Text.assemble((f"{lead} " if lead else "", "bold"), text))
                return lines
            case Grid(header, rows):
                table = Table(box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
                for place, column in enumerate(header):
                    table.add_column(Text(column), justify="right" if place else "left", overflow="fold")
                for row in rows:
                    table.add_row(*map(Text, row))
                return Padding(table, (1, 0, 0, 0))
            case Picture():
                return Group()

    return Group(*map(one, (Heading(report.title, 1), *report.blocks)))


def to_text(report: Report) -> str:
    """The page in 80 columns, without control characters."""
    from rich.console import Console

    console = Console(width=80, file=io.StringIO(), force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(report)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
