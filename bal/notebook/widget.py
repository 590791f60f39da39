"""The labeling loop in a cell of a notebook."""

from functools import cache
from pathlib import Path
from typing import Any

from bal.labeling import Desk
from bal.notebook.clerk import Clerk

HERE = Path(__file__).parent


def label(desk: Any, annotator: str = "me") -> Any:
    """Show the rows of a desk in a cell, one after another, and take answers by keys or by the mouse.

    Every answer is on disk before the next row is shown; the desk, and so the record, stay open when the cell goes.
    Works in Jupyter, marimo, VS Code and Colab; nothing is loaded from elsewhere. While the box has the focus, keys
    are its own: one a class, ``s`` for "cannot tell", ``u`` for undo, Enter where several names or a number are told.

    Use it when the labels are your own and the notebook is open anyway; `bal label` is a page for several people.

    Args:
      desk: an open `bal.labeling.Desk`.
      annotator: who answers.

    Returns:
      The widget, of `anywidget`; the last line of a cell shows it. ``widget.close()`` hands back the row it holds.

    Raises:
      ImportError: anywidget is not installed.
      TypeError: `desk` is none.
    """
    if not isinstance(desk, Desk):
        raise TypeError(
            f"expected an open bal.labeling.Desk, got {type(desk).__name__}; open one: Desk(labeling, record)"
        )
    return _kind()(Clerk(desk, annotator), desk, annotator)


@cache
def _kind() -> Any:
    """The class of the widget, made when it is first needed."""
    try:
        import anywidget  # pyright: ignore[reportMissingImports]
        import traitlets  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ImportError(
            f"labels in a notebook need {error.name}, which is not installed: pip install 'bal-jax[notebook]'"
        ) from None

    class Label(anywidget.AnyWidget):
        """`shown` goes to the browser, `told` comes from it."""

        _esm = HERE / "label.js"
        _css = HERE / "label.css"
        shown = traitlets.Dict().tag(sync=True)
        told = traitlets.Dict().tag(sync=True)

        def __init__(self, clerk: Clerk, desk: Desk, annotator: str):
            super().__init__(shown=clerk.shown)
            self._clerk, self._release = clerk, lambda: desk.release(annotator)
            self.observe(self._heard, "told")

        def _heard(self, change: Any) -> None:
            if self._clerk.take(change["new"]):
                self.shown = self._clerk.shown

        def close(self) -> None:
            """The cell is empty, and others may have the row that it held."""
            if not self._closed_once:
                self._closed_once = True
                self._release()
            super().close()

        _closed_once = False

    return Label
