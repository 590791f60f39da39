"""The harness: a figure runs what is missing on record, is drawn, judged by its claims, and says what came of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from os import cpu_count, getloadavg
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import jax

from bal import use_all_cores
from bal.records import files
from bal.records.source import commit
from experiments.common import start
from experiments.options import at_least
from paper_figures.claims import Claim, Verdict, judge, report
from paper_figures.common import Options, say

GALLERY = Path(__file__).parent.parent / "docs" / "figures"


class Figure(NamedTuple):
    """A figure of a paper.

    name: of its module; title: of its section in the gallery; caption: its docstring; data: what it learns from.
    config: its `Options`. sizes: by scale, as NamedTuples; what is not built is left out. run: config, sizes -> found;
    claims: config, sizes -> the claims, before anything is run; draw: found, config -> a picture called
    ``<called>_<scale>``. work: a number that run time is proportional to. precise: in float64. fewest: seeds that it
    needs. stand_in: what the data were replaced by, if they were. called: the picture, if not after the module.
    """

    name: str
    title: str
    caption: str | None
    data: str
    config: type[Options]
    sizes: Mapping[str, Any]
    run: Callable[[Any, Any], Any]
    claims: Callable[[Any, Any], Sequence[Claim]]
    draw: Callable[[Any, Any], None]
    work: Callable[[Any], float]
    precise: bool = False
    fewest: int = 2
    stand_in: Callable[[Any], str] = lambda found: ""
    called: Callable[[Any, Any], str] | None = None


def launch(figure: Figure) -> None:
    """Run a figure from the command line."""

    def run(config: Options) -> None:
        main(figure, config)

    start(run, figure.config, figure.caption)


def main(figure: Figure, config: Options) -> list[Verdict]:
    """Check options, say the cost of the published size, then `perform` on all cores."""
    if hasattr(config, "seeds"):
        at_least(config, figure.fewest, "seeds")
    if hasattr(config, "seed"):
        at_least(config, 0, "seed")
    try:
        sizes = built(figure, config.scale)
    except ValueError as error:
        raise SystemExit(f"--{error}") from None
    if config.scale == "paper":
        say(cost(figure, config))
    use_all_cores()  # and one thread for LAPACK: more of them make many small factorizations slow
    if figure.precise:
        jax.config.update("jax_enable_x64", True)  # before any array is made
    return perform(figure, config, sizes)


def built(figure: Figure, scale: str) -> Any:
    """Sizes of a scale; ValueError for one that is not built."""
    if scale not in figure.sizes:
        names = ", ".join(figure.sizes)
        raise ValueError(f"scale is one of {names}, got {scale}: the published size is not built")
    return figure.sizes[scale]


def perform(figure: Figure, config: Any, sizes: Any) -> list[Verdict]:
    """Run or read back, draw, judge, and write down what came of it beside the picture."""
    sizes, began = asked_for(config, sizes), monotonic()
    with jax.enable_x64(True) if figure.precise else nullcontext():
        claims = figure.claims(config, sizes)
        found = figure.run(config, sizes)
        figure.draw(found, config)
        stand_in = figure.stand_in(found)
        verdicts = judge(claims, found, config.scale, stand_in)
    title = f"{figure.title}{f' (stand-in: {stand_in})' if stand_in else ''}, scale {config.scale}"
    report(verdicts, title)
    called = figure.called(found, config) if figure.called else figure.name
    file = config.figures / f"{called}_{config.scale}.json"
    took = longest(
        file,
        command(figure, config),
        {"seconds": round(monotonic() - began, 1), "load": round(getloadavg()[1], 1), **machine()},
    )
    files.replace(file, outcome(figure, config, stand_in, verdicts, took).encode())
    return verdicts


def asked_for(config: Any, sizes: Any) -> Any:
    """Sizes with the number of seeds that was asked for, where one was."""
    seeds = getattr(config, "seeds", None)
    return sizes if seeds is None else sizes._replace(num_seeds=seeds)


def machine() -> dict[str, Any]:
    """What a figure runs on: cores, and the accelerator if there is one."""
    device = jax.devices()[0]
    return {"cores": cpu_count(), "device": "" if device.platform == "cpu" else device.device_kind}


def where(took: Mapping[str, Any]) -> str:
    """The machine of an outcome, in words."""
    device = took.get("device")
    return f"{f'one {device} and ' if device else ''}{took['cores']} cores at a load of {took['load']:g}"


def longest(file: Path, typed: str, took: dict[str, Any]) -> dict[str, Any]:
    """Seconds, load and machine of the longest run of a command: one that reads all from record tells nothing."""
    before = json.loads(file.read_text()) if file.exists() else {}
    is_longer = before.get("command") == typed and before["seconds"] > took["seconds"]
    return {name: before.get(name, took[name]) for name in took} if is_longer else took


def outcome(figure: Figure, config: Any, stand_in: str, verdicts: Sequence[Verdict], took: dict[str, Any]) -> str:
    """All that the gallery says of a figure, as JSON."""
    source = commit() or {}
    told = {
        "name": figure.name,
        "title": figure.title,
        "scale": config.scale,
        "command": command(figure, config),
        "data": f"{stand_in}, a stand-in for {figure.data}" if stand_in else figure.data,
        **took,
        "commit": source.get("commit", "")[:10],
        "changed": source.get("dirty", False),
        "claims": [
            {
                "statement": claim.statement,
                "published": claim.published,
                "source": claim.source,
                "judged by": claim.test.rule,
                "ours": ours,
                "verdict": verdict.word,
            }
            for verdict in verdicts
            for claim, ours, _ in [verdict]
        ],
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def command(figure: Figure, config: Any) -> str:
    """What to type: options that are not the defaults, but for folders."""
    usual = figure.config()
    changed = {
        name: value
        for name, value in vars(config).items()
        if name not in ("scale", "runs", "figures", "fresh") and value != getattr(usual, name)
    }
    words = [f"--{name.replace('_', '-')} {value}" for name, value in changed.items()]
    return " ".join([f"python -m paper_figures.{figure.name} --scale {config.scale}", *words])


def cost(figure: Figure, config: Any) -> str:
    """What the published size will cost, from what the cpu size took and how much more work it is."""
    times = figure.work(asked_for(config, figure.sizes["paper"])) / figure.work(figure.sizes["cpu"])
    for file in (config.figures / f"{figure.name}_cpu.json", GALLERY / f"{figure.name}.json"):
        if file.exists():
            took = json.loads(file.read_text())
            share = min(1.0, took["cores"] / max(took["load"], 1.0))  # of a machine that others used too
            hours, device = times * share * took["seconds"] / 3600, took.get("device")
            return (
                f"{figure.name}: the published size is {times:,.3g} times the work of cpu, which took "
                f"{took['seconds']:,.0f} s on {where(took)}: about {hours:,.2g} hours of such a machine alone"
                f"{'' if device else ', less on an accelerator'}"
            )
    return (
        f"{figure.name}: the published size is {times:,.3g} times the work of cpu; run that first to know it in hours"
    )
