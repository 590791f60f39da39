"""Links of built pages: ``python .ci/links.py FOLDER``. Files and anchors exist; no page loads anything from elsewhere.

Nothing is fetched: addresses on other hosts are counted, and those of files that a page would load are refused.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src"), ("video", "src")}
NOT_LOADED = {"canonical", "index", "search", "next", "prev", "author", "license"}


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that others may link to."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element."""
        named = {name: value or "" for name, value in attrs}
        self.anchors |= {named[name] for name in ("id", "name") if name in named}
        for name in {"href", "src"} & named.keys():
            is_loaded = (tag, name) in LOADED and not set(named.get("rel", "").split()) & NOT_LOADED
            (self.loads if is_loaded else self.links).append(named[name])


def broken(folder: Path) -> tuple[list[str], int]:
    """A line for each link that leads nowhere, and the number of links to other hosts."""
    pages = {path.resolve(): Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    if not pages:
        return [f"{folder} holds no pages"], 0
    wrong, outside = [], 0
    for path, page in pages.items():
        here = path.relative_to(folder.resolve())
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                outside += parts.scheme in ("http", "https")
                if link in page.loads and parts.scheme != "data":
                    wrong.append(f"{here}: loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                wrong.append(f"{here}: {link} is no file")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                wrong.append(f"{here}: {link} has no such anchor")
    return wrong, outside


if __name__ == "__main__":
    lines, number = broken(Path(sys.argv[1]))
    print("\n".join([*lines, f"{len(lines)} broken links; {number} links to other hosts, which were not tried"]))
    sys.exit(bool(lines))
