"""Whose a record is: ``env.json``, one entry for each environment that wrote to it, compared with the present one.

An entry is what `environment` returned, with ``first_event``, the number of events there were before it wrote, and
``state`` True once it has saved arrays beside the log.
"""

from pathlib import Path
from typing import Any

from bal.records import files
from bal.records.encoding import seal, unseal
from bal.records.environment import variables
from bal.records.errors import CorruptRecordError

_ENV = "env.json"
_OWN = ("first_event", "state")


def load_writers(path: Path) -> list[dict[str, Any]]:
    """The entries of the record in folder `path`, oldest first."""
    file = path / _ENV
    if not file.exists():
        return []
    entries = unseal(file.read_bytes(), str(file))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CorruptRecordError(f"{file} holds no list of environments; restore it from a copy")
    return entries


def sign(path: Path, writers: list[dict[str, Any]], now: dict[str, Any], num_events: int) -> list[dict[str, Any]]:
    """Put the environment that is about to write into ``env.json``, unless the last entry says the same."""
    # who came after the last event has left nothing
    signed = [entry for entry in writers if num_events and entry.get("first_event", -1) < num_events]
    if not signed or _bare(signed[-1]) != now:
        signed.append(now | {"first_event": num_events})
    if any(entry.get("state") for entry in writers):
        signed[-1] = signed[-1] | {"state": True}
    if signed != writers:
        files.replace(path / _ENV, seal(signed))
    return signed


def sign_state(path: Path, writers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Note that the last writer saved arrays, so that they are missed if they go."""
    if writers[-1].get("state"):
        return writers
    signed = [*writers[:-1], writers[-1] | {"state": True}]
    files.replace(path / _ENV, seal(signed))
    return signed


def written_by(writers: list[dict[str, Any]]) -> str:
    """The writers in words, in order.

    >>> commit = {"commit": "1306246aa", "dirty": True}
    >>> written_by([{"packages": {"bal": "0.1.0"}, "git": commit}])
    'bal 0.1.0 at 1306246, tree differs'
    """
    words = [_in_words(entry) for entry in writers]
    return "; then ".join(dict.fromkeys(words)) or "an unknown version of bal"


def changes(writers: list[dict[str, Any]], now: dict[str, Any]) -> list[str]:
    """Names of what differs between any writer and the present environment; none = the same code and settings.

    >>> old = {"python": "3.11.2", "source": "a", "packages": {"bal": "0.1.0", "jax": "0.10.1"}}
    >>> changes([old], old | {"packages": {"bal": "0.1.0", "jax": "0.10.2"}, "source": "b"})
    ['source', 'packages.jax']
    """
    return list(dict.fromkeys(name for entry in writers for name in _differences(entry, now)))


def _differences(old: dict[str, Any], now: dict[str, Any]) -> list[str]:
    names = [] if _same_source(old, now) else ["source"]
    names += [name for name in ("script", "python") if name in old and old[name] != now.get(name)]
    before, after = old.get("packages") or {}, now.get("packages") or {}
    names += [f"packages.{name}" for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    before, after = variables(old.get("variables") or {}), now.get("variables") or {}
    return names + [
        f"variables.{name}" for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)
    ]


def _same_source(old: dict[str, Any], now: dict[str, Any]) -> bool:
    if "source" in old:
        return old["source"] == now.get("source")
    # written before sources were fingerprinted: only a clean commit tells
    commit = old.get("git")
    return bool(commit) and commit == now.get("git") and commit["dirty"] is False


def _in_words(entry: dict[str, Any]) -> str:
    version, commit, source = (entry.get("packages") or {}).get("bal"), entry.get("git"), entry.get("source")
    name = f"bal {version}" if version else "bal"
    if commit:
        return f"{name} at {commit['commit'][:7]}" + (", tree differs" if commit["dirty"] else "")
    return f"{name}, source {source[:7]}" if source else name


def _bare(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in _OWN}
