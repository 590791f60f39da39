"""What stands beside the item: progress, what the model thought of the last one, earlier answers, export."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bal.labeling.nouns import Agreement, Entry, Item, Progress, Reveal
from bal.labeling.page.answers import in_words
from bal.pages import nicegui, rewrite, write

EARLIER = 8  # answers that are shown
HIDDEN = "What the model thought of it is shown after your answer."


class Panels:
    """The side of one tab."""

    def __init__(
        self,
        desk: Any,
        annotator: str,
        correct: Callable[[Entry], Awaitable[None]],
        second: Callable[[int], Awaitable[None]],
        say: Callable[[str], None],
    ):
        self.desk, self.annotator, self.say = desk, annotator, say
        self.entries: list[Entry] = []
        self.last: Item | None = None
        with write("section", classes="bal-card", aria_labelledby="where"):
            write("h2", "Progress", id="where")
            self.facts = write("dl", classes="desk-facts")
            self.state = write("p", "", "desk-quiet bal-note", role="status")
        with write("section", classes="bal-card", aria_labelledby="thought"):
            write("h2", "Your last item", id="thought")
            self.thought = write("p", HIDDEN, "bal-note")

            async def asked() -> None:
                if self.last is not None:
                    await second(self.last.row)

            self.ask = write("button", "Second opinion", "bal-button bal-small", type="button", disabled=True)
            self.ask.on("click", asked)
        with write("section", classes="bal-card", aria_labelledby="past"):
            write("h2", "Your answers", id="past")
            with write("ul", classes="desk-past"):
                self.past = [self.line(place, correct) for place in range(EARLIER)]
        with write("section", classes="desk-less", aria_label="Export"):
            for text, kind in (("CSV", "csv"), ("Label Studio JSON", "json")):
                write("button", f"Export {text}", "bal-button", type="button").on("click", self.export(kind))
        self.shown: list[tuple[str, str]] = []

    def line(self, place: int, correct: Callable[[Entry], Awaitable[None]]) -> dict[str, Any]:
        """An earlier answer, which can be changed."""

        async def called() -> None:
            if place < len(self.entries):
                await correct(self.entries[place])

        with write("li", hidden=True) as line:
            row, said = write("span", "", "row"), write("span", "", "said")
            button = write("button", "Change", "bal-button bal-small", type="button").on("click", called)
        return {"line": line, "row": row, "said": said, "button": button}

    async def refresh(self, last: Item | None = None) -> None:
        """All of it; after an answer also what the model had thought."""
        if last is not None:
            await self.reveal(last)
        self.entries = (await asyncio.to_thread(self.desk.history, self.annotator))[:EARLIER]
        for place, line in enumerate(self.past):
            self.rewrite_line(line, self.entries[place] if place < len(self.entries) else None)
        await self.progress()

    async def reveal(self, item: Item) -> None:
        """What the model had thought of an item that is answered now."""
        try:
            reveal = await asyncio.to_thread(self.desk.reveal, self.annotator, item)
        except ValueError:  # taken back meanwhile
            return
        self.last = item
        rewrite(self.thought, thought_in_words(reveal))
        self.ask.props["disabled"] = False
        self.ask.update()

    def hide(self) -> None:
        """The last item is shown again: what the model thought of it is for after the answer."""
        self.last = None
        rewrite(self.thought, HIDDEN)
        self.ask.props["disabled"] = True
        self.ask.update()

    def rewrite_line(self, line: dict[str, Any], entry: Entry | None) -> None:
        """Puts an entry on a line, or nothing."""
        if line["line"].props.get("hidden", False) != (entry is None):
            line["line"].props["hidden"] = entry is None
            line["line"].update()
        if entry is None:
            return
        words, old = in_words(self.desk.labeling, entry.answer), entry.state != "stands"
        name = str(entry.row if self.desk.labeling.ids is None else self.desk.labeling.ids[entry.row])
        rewrite(line["row"], name)
        rewrite(line["said"], words)
        line["said"].classes(replace="said old" if old else "said")
        label = f"Change {words}, your answer to {name}"
        if (line["button"].props.get("aria-label"), line["button"].props.get("disabled")) != (label, old):
            line["button"].props["aria-label"], line["button"].props["disabled"] = label, old
            line["button"].update()

    async def progress(self) -> None:
        """Where labeling stands, and whether a refit is under way."""
        progress, agreement = await asyncio.to_thread(lambda: (self.desk.progress(), self.desk.agreement()))
        facts = facts_in_words(progress, agreement)
        if facts != self.shown:
            self.shown = facts
            self.facts.clear()
            with self.facts:
                for name, value in facts:
                    write("dt", name)
                    write("dd", value)
        rewrite(self.state, state_in_words(progress))

    def export(self, kind: str) -> Callable[[], Awaitable[None]]:
        """Hands the labels to the browser as a file."""

        async def exported() -> None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"labels.{kind}"
                try:
                    await asyncio.to_thread(self.desk.export, path)
                except Exception as fault:
                    self.say(f"Not exported: {fault}")
                    raise
                nicegui().ui.download.content(path.read_bytes(), path.name)

        return exported


def facts_in_words(progress: Progress, agreement: Agreement | None) -> list[tuple[str, str]]:
    """Names and values of what is known by now."""
    facts = [("Labels", f"{progress.labels:,}")]
    if progress.budget_left is not None:
        facts.append(("To go", f"{progress.budget_left:,}"))
    if progress.skipped:
        facts.append(("Skipped", f"{progress.skipped:,}"))
    if progress.labels_per_hour is not None:
        facts.append(("Labels an hour", f"{progress.labels_per_hour:,.0f}"))
    if progress.quality is not None:
        found, form = progress.quality, ".3g" if progress.quality.name == "mean absolute error" else ".2f"
        facts.append((found.name.capitalize(), f"{found.value:{form}}"))
        facts.append(("95 % interval", f"{found.low:{form}} to {found.high:{form}}"))
        facts.append(("Test labels", f"{progress.quality.num_labels:,} of {progress.quality.num_rows:,}"))
    if agreement is not None and agreement.num_rows:
        if agreement.share is not None:
            facts.append(("Agreement", f"{agreement.share:.0%} of {agreement.num_rows:,}"))
        if agreement.kappa is not None:
            facts.append(("Kappa", f"{agreement.kappa:.2f}"))
        if agreement.difference is not None:
            facts.append(("Difference", f"{agreement.difference:.3g}"))
    facts.append(("Fits", f"{progress.round:,}"))
    if len(progress.by_annotator) > 1:
        facts += [(str(name), f"{count:,}") for name, count in sorted(progress.by_annotator.items())]
    return facts


def state_in_words(progress: Progress) -> str:
    """What goes on besides, in one line."""
    said = [progress.fault, progress.stopped]
    if progress.refitting:
        said.append("The model is being refitted; go on meanwhile.")
    return " ".join(one for one in said if one)


def thought_in_words(reveal: Reveal | None) -> str:
    """What the model had thought of an item that is answered now."""
    if reveal is None or (reveal.score is None and reveal.prediction is None):
        return "Nothing: no fit had looked at it yet."
    words = []
    if reveal.prediction is not None and set(reveal.prediction) == {"mean", "sd"}:
        words.append(f"{reveal.prediction['mean']:.4g} ± {reveal.prediction['sd']:.2g}")
    elif reveal.prediction is not None:
        ranked = sorted(reveal.prediction.items(), key=lambda pair: -pair[1])[:3]
        words.append(", ".join(f"{name} {share:.0%}" for name, share in ranked))
    if reveal.score is not None:
        words.append(f"score {reveal.score:.3g}")
    return f"{'; '.join(words)} (fit {reveal.from_round})"
