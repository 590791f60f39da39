"""The page on a folder of records."""

import threading
from pathlib import Path
from typing import Any

from bal.pages import nicegui, serve, shell
from bal.watching.page.others import CellsPart, PeoplePart
from bal.watching.page.rounds import PicksPart
from bal.watching.page.studies import CalibrationPart, CurvesPart, TimePart
from bal.watching.page.view import Chosen, Pool, View, Watched

HERE = Path(__file__).parent
PARTS: dict[str, type] = {
    "Curves": CurvesPart,
    "Picks": PicksPart,
    "Calibration": CalibrationPart,
    "Time": TimePart,
    "Cells": CellsPart,
    "People": PeoplePart,
}


def serve_folder(root: str | Path, pool: Pool = Pool(), **options: Any) -> None:  # noqa: B008 - a tuple
    """Serves a page on a folder of records until it is interrupted.

    Parts and studies can be linked to: ``/?part=Picks&study=digits``.

    Args:
      root: the folder of records.
      pool: where inputs of rows come from, for the map and for pictures.
      options: of `bal.pages.serve`: host, port, token, open_browser.

    Raises:
      FileNotFoundError: `root` is no folder.
      ImportError: nicegui is not installed.
      ValueError: the address cannot be taken.

    >>> serve_folder("runs")  # doctest: +SKIP
    Open http://127.0.0.1:8123/?token=... (Ctrl-C stops)
    """
    watched, style = Watched(root, pool), (HERE / "page.css").read_text()
    threading.Thread(target=watched.warm, daemon=True).start()

    def build(part: str = "Curves", study: str = "", metric: str = "", baseline: str = "") -> None:
        ui = nicegui().ui
        ui.add_css(style)
        with shell(f"Watch {Path(root).resolve().name}"):
            view = View(watched, Chosen(study, metric, baseline), PARTS, part)
        ui.timer(0.0, view.begin, once=True)

    serve(build, title=f"{Path(root).resolve().name} · bal watch", **options)
