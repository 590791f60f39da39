"""Between a desk and a widget: what is to be shown as plain data, and what was told about it."""

import base64
from typing import Any

import numpy as np

from bal.labeling import Desk, Item, Progress, View, Waiting


class Clerk:
    """One annotator at a desk: `shown` is what a widget shows, `take` hears what it is told.

    `shown` has a number, which what is told about it repeats: a message that comes twice, or late, counts once.
    """

    def __init__(self, desk: Desk, annotator: str):
        self._desk, self._annotator, self._number = desk, annotator, 0
        self._item = desk.next(annotator)
        self.shown: dict[str, Any] = self._look(None)

    def take(self, told: dict[str, Any]) -> bool:
        """Do as told: ``{"do": "answer" | "skip" | "undo" | "next", "number": ..., "answer": ..., "seconds": ...}``.

        False where it was told about something that is not shown any more. What the desk refuses is shown as
        ``fault``, and the row stays.
        """
        if told.get("number") != self._number:
            return False
        before, fault, item = self._item, None, self._item
        try:
            if told.get("do") == "undo":
                self._desk.undo(self._annotator)
            elif isinstance(item, Item) and told.get("do") == "answer":
                self._desk.answer(self._annotator, item, told.get("answer"), told.get("seconds"))
            elif isinstance(item, Item) and told.get("do") == "skip":
                self._desk.skip(self._annotator, item, told.get("seconds"))
        except Exception as error:  # a full disk, too: the row stays, and its box can be told again
            fault = f"Not stored: {error}"
        self._item, self._number = self._desk.next(self._annotator), self._number + 1
        acted = told.get("do") != "next" and fault is None
        self.shown = self._look(fault, acted or _row(before) != _row(self._item))
        return True

    def _look(self, fault: str | None, fresh: bool = True) -> dict[str, Any]:
        """All that the widget shows, of numbers, texts and lists alone."""
        desk, item = self._desk, self._item
        labeling, here, why = desk.labeling, None, ""
        if isinstance(item, Item):
            here = {"view": None if item.view is None else plain(item.view), "error": item.error}
        else:
            why = f". {item.reason}"
        kind = "number" if labeling.number else "several" if labeling.several else "soft" if labeling.soft else "class"
        done = desk.progress()
        return {
            "number": self._number,
            "fresh": fresh,
            "kind": kind,
            "question": labeling.question,
            "classes": [[name, desk.keys.get(name)] for name in desk.names],
            "range": None if labeling.number is None else labeling.number._asdict(),
            "item": here,
            "waiting": isinstance(item, Waiting),
            "words": in_words(done) + why,
            "fault": fault,
            "can_undo": any(entry.state == "stands" for entry in desk.history(self._annotator)),
        }


def _row(item: Any) -> int | None:
    return item.row if isinstance(item, Item) else None


def in_words(done: Progress) -> str:
    """Where labeling stands, in a line.

    >>> in_words(Progress(12, 12, 0, 30, 8, 240.0, None, 2, True, None, None, {}))
    '12 labels, 8 to go, 240 an hour, the model learns'
    """
    said = [f"{done.labels} label{'' if done.labels == 1 else 's'}"]
    said += [] if done.budget_left is None else [f"{done.budget_left} to go"]
    said += [] if done.labels_per_hour is None else [f"{done.labels_per_hour:.0f} an hour"]
    if done.quality is not None:
        found = done.quality
        said.append(f"{found.name} {found.value:.2f} ({found.low:.2f} to {found.high:.2f}, {found.num_labels} rows)")
    said += ["the model learns"] if done.refitting else []
    said += [] if done.fault is None else [done.fault]
    return ", ".join(said)


def plain(view: View) -> dict[str, Any]:
    """A view without arrays: pixels as the letters of their bytes, four a pixel, as a canvas takes them.

    >>> plain(View("image", np.array([[7]], np.uint8), "dot"))["content"]
    {'width': 1, 'height': 1, 'rgba': 'BwcH/w=='}
    """
    content = view.content
    if view.kind == "image":
        pixels = np.asarray(content)
        pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1)
        height, width = pixels.shape[:2]
        rgba = np.concatenate([pixels, np.full((height, width, 1), 255, np.uint8)], -1)
        content = {"width": width, "height": height, "rgba": base64.b64encode(rgba.tobytes()).decode("ascii")}
    elif view.kind in ("series", "scatter"):
        content = {name: np.asarray(values).tolist() for name, values in content.items()}
    elif view.kind == "table":
        content = [list(line) for line in content]
    return {"kind": view.kind, "content": content, "alt": view.alt}
