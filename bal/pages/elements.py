"""Elements of a page as data: a tag, text and attributes, which are escaped, never markup."""

from contextlib import contextmanager
from typing import Any

from bal.pages.serving import nicegui

MOST_LETTERS = 100_000  # of one text on a page
GONE = (
    "The server does not answer. What was stored is safe. If it was stopped, start the same command again and open the "
    "link that it prints; with the same port and token this page goes on by itself."
)


def write(tag: str, text: object = None, classes: str = "", **attributes: object) -> Any:
    """An element of HTML or SVG with a text, as NiceGUI's element: `with write("ul"): write("li", name)` nests.

    The text and the attributes may be anyone's: they are never read as markup, nor as code.

    Args:
      tag: as in HTML or SVG, for instance "h1", "button", "svg".
      text: is cut off after 100,000 letters, and says so.
      classes: of style, separated by blanks; the project's own words.
      **attributes: of the tag; `aria_label` is `aria-label`, `class_` and None are left out.

    >>> from bal.pages import write
    >>> write("img", src="data:image/png;base64,...", alt="<b>any</b>")  # doctest: +SKIP
    """
    element = nicegui().ui.element(tag)
    if text is not None:
        element._text = shortened(text)  # the only text that NiceGUI's element has; its setters differ by class
    if classes:
        element.classes(classes)
    for name, value in attributes.items():
        if value is not None:
            element.props[name.rstrip("_").replace("_", "-")] = value
    return element


def rewrite(element: Any, text: object) -> None:
    """Another text in an element that `write` made."""
    new = shortened(text)
    if element._text != new:
        element._text = new
        element.update()


def shortened(text: object) -> str:
    """A text that a page can hold."""
    whole = str(text)
    if len(whole) <= MOST_LETTERS:
        return whole
    return f"{whole[:MOST_LETTERS]} … ({len(whole) - MOST_LETTERS:,} more characters)"


@contextmanager
def shell(title: str, note: str = ""):
    """The frame of a page: a note when the server is gone, a link that skips to the content, a title, the main part.

    Args:
      title: the heading, of level one; what follows has level two.
      note: a line beside it.

    Yields:
      the header, to which more can be added.
    """
    write("div", GONE, "bal-gone", id="bal-gone", role="alert", hidden=True)
    write("a", "Skip to the content", "bal-skip", href="#main")
    with write("header", classes="bal-header") as header:
        write("h1", title)
        if note:
            write("p", note, "bal-note")
    with write("div", classes="bal-main", id="main", tabindex="-1"):  # the page around it is a main element already
        yield header
