"""What people answer with: buttons, toggles, sliders, a field for numbers; and what comes back from them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from bal.labeling.nouns import Answer, Labeling
from bal.pages import write

SKIP, UNDO, UNSURE, GIVE = "s", "u", "?", "Enter"


def answering(labeling: Labeling, keys: Mapping[str, str], answered: Callable[[Any], Any]) -> None:
    """The widgets of a labeling; `answered` gets what the page sends."""
    if labeling.number is not None:
        return number(labeling, answered)
    several = labeling.several is not None
    with write("div", classes="desk-keys", role="group", aria_label="Answers"):
        for place, name in enumerate(labeling.several or labeling.classes or ()):
            facts = {"data-toggle": "", "aria-pressed": "false"} if several else {}
            button = press(name, keys.get(name), **facts)
            if several:
                button.on("click", js_handler="(event) => balDesk.toggle(event.currentTarget)")
            else:
                button.on("click", answered, js_handler=f"() => balDesk.answer(emit, () => ({{index: {place}}}))")
    if several:
        give = press("Give this answer", GIVE, "bal-primary")
        give.on("click", answered, js_handler="() => balDesk.answer(emit, balDesk.several)")
    if labeling.soft:
        unsure(labeling, answered)


def press(text: str, key: str | None, classes: str = "", **attributes: Any) -> Any:
    """A button with its key, if one is left for it."""
    facts = {"data_key": key, "aria_keyshortcuts": key, **attributes}
    with write("button", classes=f"bal-button {classes}", type="button", **facts) as button:
        if key is not None:
            write("kbd", key.upper() if len(key) == 1 else key, aria_hidden="true")
        write("span", text)
    return button


def opener() -> None:
    """The button that shows the sliders, or hides them."""
    button = press("Unsure …", UNSURE, aria_controls="unsure")
    button.on("click", js_handler="() => balDesk.unsure(document.getElementById('unsure').hidden)")


def number(labeling: Labeling, answered: Callable[[Any], Any]) -> None:
    """A field and a slider that move together."""
    low, high, unit = labeling.number  # pyright: ignore[reportGeneralTypeIssues]
    ends = {"min": f"{low:g}", "max": f"{high:g}", "step": "any"}
    span = f"{low:g} to {high:g} {unit}".strip()
    with write("div", classes="desk-number"):
        write("label", f"Number, {span}", for_="number")
        field = write("input", type="number", id="number", inputmode="decimal", autocomplete="off", **ends)
        field.on("input", js_handler="() => balDesk.slide('number', 'slider')")
        slider = write("input", type="range", id="slider", aria_label=f"Slider, {span}", **ends)
        slider.on("input", js_handler="() => balDesk.slide('slider', 'number')")
    give = press("Give this answer", GIVE, "bal-primary")
    give.on("click", answered, js_handler="() => balDesk.answer(emit, balDesk.number)")


def unsure(labeling: Labeling, answered: Callable[[Any], Any]) -> None:
    """A slider a class, shown when it is asked for."""
    with write("div", classes="bal-card desk-unsure", id="unsure", hidden=True, role="group", aria_label="How likely"):
        for place, name in enumerate(labeling.classes or ()):
            write("label", name, for_=f"weight-{place}")
            slider = write("input", type="range", id=f"weight-{place}", min=0, max=100, step=5, data_weight="")
            slider.props["value"] = 50
            slider.on("input", js_handler="() => balDesk.shares()")
            write("output", "", "bal-number", data_share="", for_=f"weight-{place}")
        give = press("Give this answer", GIVE, "bal-primary")
        give.on("click", answered, js_handler="() => balDesk.answer(emit, balDesk.soft)")


def read(labeling: Labeling, given: Any) -> Answer:
    """An answer from what a page sent, which may be anything.

    Raises:
      ValueError: it is none.
    """
    names = list(labeling.several or labeling.classes or ())
    match given:
        case {"index": int(place)} if labeling.classes is not None and 0 <= place < len(names):
            return names[place]
        case {"indices": list(places)} if labeling.several is not None and all(
            one in range(len(names)) for one in places
        ):
            return [names[place] for place in sorted(set(places))]
        case {"weights": list(weights)} if labeling.soft and len(weights) == len(names) and are_weights(weights):
            return {name: weight / sum(weights) for name, weight in zip(names, weights)}
        case {"value": str(words)} if labeling.number is not None and len(words) < 50:
            value = float(words)
            if math.isfinite(value):
                return value
    raise ValueError("an answer of this page was expected and something else came: reload the page")


def are_weights(weights: list[Any]) -> bool:
    """Whether they are numbers that make a distribution."""
    return all(isinstance(one, int | float) and 0 <= one <= 100 for one in weights) and sum(weights) > 0


def in_words(labeling: Labeling, answer: Answer) -> str:
    """An answer as people read it."""
    if answer is None:
        return "cannot tell"
    if isinstance(answer, Mapping):
        ranked = sorted(answer.items(), key=lambda pair: -pair[1])
        return ", ".join(f"{name} {share:.0%}" for name, share in ranked if share >= 0.005)
    if isinstance(answer, list | tuple | set | frozenset):
        return ", ".join(map(str, answer)) or "none of them"
    if labeling.number is not None and isinstance(answer, int | float):
        return f"{answer:g} {labeling.number.unit}".strip()
    return str(answer)
