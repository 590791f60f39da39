"""From words to a command: the settings of a function are options beside those of the command itself."""

import dataclasses
import re
import textwrap
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Union

import tyro
from tyro.conf import OmitArgPrefixes, subcommand

from bal.cli.commands import COMMANDS
from bal.sweep.cells import grid, of_values
from bal.sweep.functions import config_of, function_of

DESCRIPTION = """Bayesian active learning: experiments as cells of sweeps, on record.

A cell is a function of a module and its settings, a frozen dataclass; its records are under one folder, runs/ by
default. Exit codes: 0 done, 1 something failed or differs, 2 what was typed cannot be meant, 130 stopped by Ctrl-C."""


def parse(words: Sequence[str]) -> Any:
    """The command that `words` mean, an instance of a class of `COMMANDS`; `config` among its fields if it has one.

    Raises:
      ValueError, TypeError: no such function, file, field or value.
      SystemExit: 0 after --help, 2 after what tyro has refused and explained.
    """
    kinds = {name: kind for name, (kind, _) in COMMANDS.items()}
    for option in ("--grid", "--with"):
        if sum(word.partition("=")[0] == option for word in words) > 1:
            raise ValueError(f"{option} is there twice, and one would replace the other; name all behind one {option}")
    if words and words[0] in ("run", "sweep") and "--resume" not in words:
        function = next((word for word in words[1:] if re.fullmatch(r"[\w.]+:\w+", word)), None)
        if function is not None:
            told = _in_file(words)
            words = [*words, *_of_grid(words, config_of(function_of(function)), told)]
            kinds[words[0]] = _with_settings(kinds[words[0]], function, told)
    commands = tuple(
        Annotated[kinds[name], subcommand(name, description=_lines(kind.__doc__) if words[:1] == [name] else said)]
        for name, (kind, said) in COMMANDS.items()
    )
    any_of: Any = Union[commands]  # noqa: UP007 - made at run time
    return tyro.cli(any_of, prog="bal", description=_lines(DESCRIPTION), args=list(words))


def _lines(text: str | None) -> str:
    """Paragraphs in lines that fit 80 columns, examples indented; tyro joins lines unless they begin with a blank."""
    paragraphs = [" ".join(part.split()) for part in (text or "").split("\n\n")]
    indents = [4 * " " if part.startswith("bal ") else " " for part in paragraphs]
    return "\n".join(
        textwrap.fill(part, 79, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        for part, indent in zip(paragraphs, indents)
    )


def _with_settings(kind: type, function: str, told: dict[str, Any]) -> type:
    """The command with the settings of a function as further options, `told` in place of their defaults."""
    config = config_of(function_of(function))
    own = {field.name for field in dataclasses.fields(kind)}
    taken = sorted(own & {field.name for field in dataclasses.fields(config)})
    if taken:
        raise ValueError(
            f"{config.__name__} has fields that are options of bal itself: {', '.join(taken)}; rename them"
        )
    default: Any = dataclasses.MISSING
    if told or not _required(config):
        default = of_values(config, told)
    settings = dataclasses.field(default=default)
    fields: Any = [("config", OmitArgPrefixes[config], settings)]
    return dataclasses.make_dataclass(
        kind.__name__, fields, bases=(kind,), frozen=True, kw_only=True, namespace={"__doc__": kind.__doc__}
    )


def _required(config: type) -> set[str]:
    """Fields of a dataclass that have no default."""
    missing = dataclasses.MISSING
    return {f.name for f in dataclasses.fields(config) if f.default is missing and f.default_factory is missing}


def _of_grid(words: Sequence[str], config: type, told: dict[str, Any]) -> list[str]:
    """Options for settings without a default that the grid alone names: its first value, which stands for none."""
    place = next((place for place, word in enumerate(words) if word.partition("=")[0] == "--grid"), len(words))
    known = {word.partition("=")[0] for word in words} | {f"--{name.replace('_', '-')}" for name in told}
    found = []
    for word in [words[place].removeprefix("--grid="), *words[place + 1 :]] if place < len(words) else []:
        name, _, values = word.partition("=")
        option = f"--{name.replace('_', '-')}"
        if name.replace("-", "_") in _required(config) and values and option not in known:
            found += [option, *values.split(",")[0].split(" ")]
    return found


def _in_file(words: Sequence[str]) -> dict[str, Any]:
    """Settings of the file that is named among the words, if any."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--file":
            value = value if equals else "".join(words[place + 1 : place + 2])
            return read(Path(value))[0] if value else {}
    return {}


def read(file: Path) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Settings and values of a TOML file: [config] and [grid].

    Raises:
      ValueError: no such file, no TOML, or other tables in it.
    """
    try:
        body = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"--file {file}: {error}; it must be TOML, with settings in [config] and [grid]") from error
    if not body.keys() <= {"config", "grid"} or not all(isinstance(part, dict) for part in body.values()):
        raise ValueError(f"--file {file}: expected the tables [config] and [grid], got {', '.join(sorted(body))}")
    return body.get("config", {}), body.get("grid", {})


def cells(config: Any, words: Sequence[str], file: Path | None) -> list[Any]:
    """The cells of ``field=value,value`` words, and of the [grid] of a file, around a configuration.

    Values are read as those of an option would be, by the kind of the field.

    Raises:
      ValueError, TypeError: what `grid` refuses.
    """
    kind = type(config)
    values: dict[str, list[Any]] = {} if file is None else dict(read(file)[1])
    known, seen = [field.name for field in dataclasses.fields(kind)], set()
    for word in words:
        name, equals, told = word.partition("=")
        name = name.replace("-", "_")
        if name in seen:
            raise ValueError(f"--grid {name}= is there twice; separate its values by commas")
        seen.add(name)
        if not equals or not told:
            raise ValueError(f"--grid {word}: expected field=value,value with a field of {', '.join(known)}")
        if name in known:
            values[name] = [_read(kind, name, one, config) for one in told.split(",")]
        else:
            values[name] = told.split(",")  # `grid` says which fields there are
    return grid(config, **values)


def _read(kind: type, name: str, text: str, config: Any) -> Any:
    """One value, by the kind of its field."""
    option = f"--{name.replace('_', '-')}"
    hint = {field.name: field.type for field in dataclasses.fields(kind)}[name]
    if hint in (bool, "bool"):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"--grid {name}={text}: expected true or false")
        return text.lower() == "true"
    words = [option, *text.split(" ")]
    return getattr(tyro.cli(kind, default=config, args=words, prog="bal sweep MODULE:FUNCTION"), name)


def options(words: Sequence[str], what: str = "--with") -> dict[str, Any]:
    """Options of an engine: ``name=value``, where a value that reads as a number or truth value of TOML is one."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise ValueError(f"{what} {word}: expected name=value")
        try:
            found[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = text
    return found
