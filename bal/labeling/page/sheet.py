"""One tab of a browser: the item that it shows, and what happens when its person answers."""

import asyncio
import json
from typing import Any

from bal.labeling.nouns import Entry, Finished, Item, Waiting
from bal.labeling.page.answers import SKIP, UNDO, answering, in_words, opener, press, read
from bal.labeling.page.drawing import draw, warm
from bal.labeling.page.panels import Panels
from bal.pages import nicegui, rewrite, write


class Sheet:
    """What one tab shows. Every answer is stored before the next item shows; what comes late or twice is dropped.

    Each item on screen has a serial number, which the answer has to carry.
    """

    def __init__(self, desk: Any, annotator: str, at_work: dict[str, "Sheet"], first: Item | Waiting | Finished):
        self.desk, self.annotator, self.at_work = desk, annotator, at_work
        self.serial = 0
        self.open = first
        self.corrected: Entry | None = None
        self.busy = asyncio.Lock()
        self.client = nicegui().ui.context.client
        with write("div", classes="desk") as self.all:
            self.build()
        at_work.get(annotator, self).retire()
        at_work[annotator] = self
        self.client.on_delete(self.leave)
        self.show()

    def build(self) -> None:
        """The elements, which stay; their content changes."""
        labeling = self.desk.labeling
        with write("div", classes="desk-work"):
            write("h2", labeling.question or "What is it?", "desk-question")
            self.banner = write("p", "", "desk-banner", role="status", hidden=True)
            self.card = write("section", classes="bal-card desk-item", id="item", aria_label="Item", data_serial="0")
            with write("div", classes="desk-work") as self.widgets:
                answering(labeling, self.desk.keys, self.answered)
            with write("div", classes="desk-less"):
                if labeling.soft:
                    opener()
                self.skip = self.button("Skip, cannot tell", SKIP, "skip")
                self.button("Undo", UNDO, "undo")
                self.keep = self.button("Leave it as it was", "Escape", "keep", hidden=True)
                self.ask = self.button("Second opinion", None, "second", hidden=True)
            write("p", "", "desk-quiet bal-warn", id="hint", role="status")
            self.heard = write("p", "", "bal-unseen", role="status")
        with write("div", classes="desk-side"):
            self.panels = Panels(self.desk, self.annotator, self.correct, self.second, self.again)

    def button(self, text: str, key: str | None, action: str, **attributes: Any) -> Any:
        """A button of what is no answer."""
        button = press(text, key, **attributes)
        return button.on("click", self.answered, js_handler=f"() => balDesk.act(emit, '{action}')")

    async def tick(self) -> None:
        """Once in a while: whether what was waited for has come, and where labeling stands."""
        if self.at_work.get(self.annotator) is not self:
            return
        if isinstance(self.open, Waiting) and self.corrected is None and not self.busy.locked():
            async with self.busy:
                before = self.open
                await asyncio.to_thread(self.fetch)
                if not isinstance(self.open, Waiting) or self.open != before:
                    self.show()
        await self.panels.progress()

    async def answered(self, event: Any) -> None:
        """What the page sent: an answer, or skip, undo, keep; for the item that it names."""
        given = event.args
        if not isinstance(given, dict):
            return
        async with self.busy:  # a message is never dropped: its tab waits for what comes of it
            if given.get("serial") != str(self.serial) or self.at_work.get(self.annotator) is not self:
                return self.again("Not stored: that was an answer to an item that is no longer shown.")
            seconds = given.get("seconds")
            seconds = float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 1e6 else 0.0
            try:
                last = await asyncio.to_thread(self.take, given, seconds)
            except Exception as fault:  # a full disk, too: nothing is lost in silence
                self.again(f"Not stored: {fault}")
                if isinstance(fault, ValueError):
                    return
                raise
            if given.get("action") == "undo":
                self.panels.hide()
            self.show()
        await self.panels.refresh(last)

    def take(self, given: dict[str, Any], seconds: float) -> Item | None:
        """Stores what was said and fetches the next item, in one go in a thread: the disk and the lock of the desk hold
        up no other tab, and a busy interpreter is waited for once.

        Returns:
          what was answered, if the model may now be heard on it.
        """
        last = self.store(given, seconds)
        self.corrected = None
        self.fetch()
        return last

    def fetch(self) -> None:
        """The next item, or why there is none."""
        try:
            self.open = self.desk.next(self.annotator)
        except Exception as fault:  # what was answered is stored all the same; `tick` asks again
            self.open = Waiting(f"No next item: {fault}")
        warm(self.open)

    def store(self, given: dict[str, Any], seconds: float) -> Item | None:
        """Hands to the desk what was said; the item that was answered."""
        item, action, desk = self.open, given.get("action"), self.desk
        if action == "undo":
            desk.undo(self.annotator)
            return None
        if self.corrected is not None:
            if action == "second":
                desk.second_opinion(self.annotator, self.corrected.row)
            elif action != "keep":
                answer = None if action == "skip" else read(desk.labeling, given.get("answer"))
                desk.correct(self.annotator, self.corrected.row, answer)
            return None
        if not isinstance(item, Item):
            raise ValueError("there is no item to answer; wait for the next one")
        if action == "skip":
            desk.skip(self.annotator, item, seconds)
        else:
            desk.answer(self.annotator, item, read(desk.labeling, given.get("answer")), seconds)
        return item

    def again(self, why: str) -> None:
        """The same item may be answered again."""
        with self.client:
            nicegui().ui.run_javascript(f"balDesk.again({json.dumps(why)})")

    async def correct(self, entry: Entry) -> None:
        """Shows an earlier item again; the answer to it replaces the earlier one."""
        async with self.busy:
            self.corrected = entry
            self.show(await asyncio.to_thread(self.earlier, entry))

    def earlier(self, entry: Entry) -> Item:
        """An item that was answered."""
        try:
            view, error = self.desk.view(entry.row), None
        except Exception as fault:  # whatever a render of one's own raises
            view, error = None, str(fault)
        return Item(entry.row, entry.row, view, entry.what, 0, error)

    async def second(self, row: int) -> None:
        """Asks for a second opinion on an earlier item."""
        try:
            await asyncio.to_thread(self.desk.second_opinion, self.annotator, row)
            self.again("Another annotator will be shown that item too.")
        except ValueError as error:
            self.again(str(error))

    def show(self, other: Item | None = None) -> None:
        """Puts the open item on screen, or another."""
        item: Item | Waiting | Finished = other or self.open
        self.serial += 1
        with self.client:
            self.card.clear()
            with self.card:
                if isinstance(item, Item):
                    draw(item)
                else:
                    write("p", item.reason, "bal-note")
        self.card.props["data-serial"] = str(self.serial)
        self.card.update()
        said = (item.view.alt if item.view else "cannot be shown") if isinstance(item, Item) else item.reason
        rewrite(self.heard, f"Item {self.serial}: {said}")
        self.say_why(item)

    def say_why(self, item: Item | Waiting | Finished) -> None:
        """The line above an item that is not just the next one."""
        why = ""
        if self.corrected is not None:
            why = f"Your earlier answer was: {in_words(self.desk.labeling, self.corrected.answer)}. Answer anew."
        elif isinstance(item, Item) and item.what in ("second", "again"):
            why = "A second opinion: somebody has answered this one." if item.what == "second" else ""
        rewrite(self.banner, why)
        for element, hidden in (
            (self.banner, not why),
            (self.keep, self.corrected is None),
            (self.ask, self.corrected is None),
            (self.widgets, not isinstance(item, Item)),
            (self.skip, not isinstance(item, Item)),
        ):
            set_hidden(element, hidden)

    def retire(self) -> None:
        """Another tab goes on under this name: this one says so and shows nothing more."""
        if self.at_work.get(self.annotator) is not self:
            return
        del self.at_work[self.annotator]
        with self.client:
            self.all.clear()
            with self.all, write("div", classes="bal-card", role="alert"):
                write("p", f"{self.annotator} goes on in another tab or at another place; this one rests.")
                here = write("button", "Go on here", "bal-button", type="button")
                here.on("click", js_handler="() => location.reload()")

    def leave(self) -> None:
        """The tab is closed: what it held goes back."""
        if self.at_work.get(self.annotator) is self:
            del self.at_work[self.annotator]
            self.desk.release(self.annotator)


def set_hidden(element: Any, hidden: bool) -> None:
    """Whether an element is seen."""
    if element.props.get("hidden", False) != hidden:
        element.props["hidden"] = hidden
        element.update()
