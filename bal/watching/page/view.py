"""One tab of the page: which part of which study is looked at, and when it is drawn anew."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bal.pages import nicegui, rewrite, write
from bal.sweep.studies import Group
from bal.watching.curves import baseline_of, metrics_of, rows
from bal.watching.folder import Folder
from bal.watching.page.colors import DARK, LIGHT, Scheme
from bal.watching.pool import Projected, pool_of, projected

SCHEME = "(prefers-color-scheme: dark)"
NO_POOL = (
    "A map, and pictures or numbers of rows, take the function that made the pool, as bal replay does: "
    "bal watch ROOT --pool MODULE:FUNCTION."
)
MOST_POOLS = 4
SPARED = 20
"""Looking at the folder may take a twentieth of the time: of big folders the page looks more rarely."""


class Pool(NamedTuple):
    """Where inputs come from: ``module:function`` as for `bal replay`, and the shape of rows that are pictures."""

    function: str | None = None
    shape: tuple[int, ...] | None = None


class Inputs(NamedTuple):
    """Inputs of the rows of a pool, where they lie, and if they are not known, why."""

    x: Any = None
    projected: Projected | None = None
    why: str = ""


class Watched:
    """The folder that all tabs share: looked at by one thread at a time, no more often than it is worth."""

    def __init__(self, root: str | Path, pool: Pool, every: float = 1.0):
        self.folder, self.pool, self.every = Folder(root), pool, every
        self.lock = threading.Lock()
        self._next, self._loaded = 0.0, 0
        self._inputs: dict[tuple[Path, int], Inputs] = {}

    @property
    def version(self) -> tuple[int, int]:
        """What changes whenever there is something new to draw."""
        return self.folder.version, self._loaded

    def inputs(self, path: Path, seed: int) -> Inputs:
        """The pool of a seed of a record, which is loaded meanwhile where it is not known yet."""
        if self.pool.function is None:
            return Inputs(why=NO_POOL)
        if (path, seed) not in self._inputs:
            while len(self._inputs) >= MOST_POOLS:
                self._inputs.pop(next(iter(self._inputs)))
            self._inputs[path, seed] = Inputs(why="The pool is being loaded.")
            threading.Thread(target=self._load, args=(self.pool.function, path, seed), daemon=True).start()
        return self._inputs[path, seed]

    def _load(self, function: str, path: Path, seed: int) -> None:
        try:
            x = pool_of(function, path, seed)
            found = Inputs(x, projected(x), "No map: rows are no numbers, or fewer than two each.")
        except Exception as error:  # the function is anyone's: what it raises is told, and is not the end of the page
            found = Inputs(why=f"No map: {error}")
        self._inputs[path, seed] = found
        self._loaded += 1

    def look(self) -> None:
        """Refresh the folder, if it is time."""
        with self.lock:
            begun = time.monotonic()
            if begun >= self._next:
                self.folder.refresh()
                took = time.monotonic() - begun
                self._next = begun + max(self.every, SPARED * took)

    def warm(self) -> None:
        """Read the folder and compare the first study before anybody looks: what a page needs first is then at hand."""
        self.look()
        with self.lock:
            for group in self.folder.groups[:1]:
                rows(group, metrics_of(group)[0], baseline_of(group))


class Chosen:
    """What a tab looks at."""

    def __init__(self, study: str, metric: str, baseline: str):
        self.study, self.metric, self.baseline = study, metric, baseline
        self.strategy, self.seed, self.round = "", "", ""
        self.scheme: Scheme = LIGHT

    def group(self, groups: list[Group]) -> Group | None:
        """The study that is chosen, or the first."""
        named = [group for group in groups if group.title == self.study]
        return (named or groups or [None])[0]


class Select:
    """A list to choose from, which keeps what was chosen while there is more to choose."""

    def __init__(self, label: str, name: str, chosen: Chosen, ask: Callable[[], Any]):
        self.name, self.chosen, self.options = name, chosen, list[str]()
        with write("div", classes="watch-choice") as self.around:
            write("label", label, for_=f"choose-{name}")
            self.element = write("select", id=f"choose-{name}")
        self.element.on("change", self._choose(ask), js_handler="(event) => emit(event.target.value)")

    def _choose(self, ask: Callable[[], Any]) -> Callable[[Any], Any]:
        async def choose(event: Any) -> None:
            if event.args in self.options:
                setattr(self.chosen, self.name, event.args)
                await ask()

        return choose

    def offer(self, options: list[str], now: str) -> None:
        """These, of which `now` is the one."""
        if options == self.options and getattr(self.chosen, self.name) == now:
            return
        self.options = options
        setattr(self.chosen, self.name, now)
        self.element.clear()
        with self.element:
            for option in options:
                write("option", option, value=option, selected=True if option == now else None)


class View:
    """A tab: parts by name, of which one is shown."""

    def __init__(self, watched: Watched, chosen: Chosen, parts: dict[str, type], part: str):
        self.watched, self.chosen = watched, chosen
        self.busy, self.again, self.seen = False, False, (-1, -1)
        self.status = write("p", "Reading the folder", "bal-note", role="status")
        with write("div", classes="watch-bar"):
            with write("nav", classes="watch-parts", aria_label="Parts"):
                self.buttons = {
                    name: write("button", name, "bal-button", type="button").on("click", self._open(name))
                    for name in parts
                }
            self.study = Select("Study", "study", chosen, self.ask)
        self.parts, self.place = parts, write("div", classes="watch-part")
        self.show(part if part in parts else next(iter(parts)))

    def _open(self, name: str) -> Callable[[], Any]:
        async def opened() -> None:
            self.show(name)
            await self.ask()

        return opened

    def show(self, name: str) -> None:
        """Put a part on the page, in place of what is there."""
        self.place.clear()
        for other, button in self.buttons.items():
            button.props["aria-pressed"] = "true" if other == name else "false"
            button.update()
        with self.place:
            self.panel = self.parts[name](self)

    async def begin(self) -> None:
        """What the browser prefers, then all there is."""
        ui = nicegui().ui
        self.chosen.scheme = DARK if await ui.run_javascript(f"matchMedia('{SCHEME}').matches") else LIGHT
        ui.on("scheme", self._scheme)
        ui.run_javascript(f"matchMedia('{SCHEME}').addEventListener('change', (e) => emitEvent('scheme', e.matches))")
        await self.ask()
        ui.timer(0.5, self.tick)

    async def _scheme(self, event: Any) -> None:
        self.chosen.scheme = DARK if event.args else LIGHT
        await self.ask()

    async def tick(self) -> None:
        """Draw what is new."""
        await asyncio.to_thread(self.watched.look)
        if self.seen != self.watched.version:
            await self.ask()

    async def ask(self) -> None:
        """Compute in a thread, then draw; once more if something else was asked for meanwhile."""
        self.again = True
        while self.again and not self.busy:
            self.again, self.busy, panel = False, True, self.panel
            try:
                version, summary, titles, found = await asyncio.to_thread(self._compute, panel)
            finally:
                self.busy = False
            self.seen = version
            rewrite(self.status, summary)
            if titles:
                self.study.offer(titles, self.chosen.study if self.chosen.study in titles else titles[0])
            self.study.around.set_visibility(len(titles) > 1)
            if panel is self.panel:
                panel.draw(found)
            else:
                self.again = True

    def _compute(self, panel: Any) -> tuple[tuple[int, int], str, list[str], Any]:
        watched = self.watched
        watched.look()
        with watched.lock:
            folder = watched.folder
            groups = folder.groups
            version, summary = watched.version, folder.summary()
            found = panel.compute(folder, self.chosen.group(groups))
        return version, f"{summary or 'no records'} under {folder.root}", [group.title for group in groups], found
