"""What an answer may be, and its way into a label and back: names at the desk, numbers on record."""

import string
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from bal.labeling.nouns import Answer, Labeling, Number
from bal.learners.settings import check_count
from bal.pool.arrays import as_rows
from bal.pool.over import num_rows

RESERVED = frozenset("su")
"""Keys that skip and undo."""
MOST_NAMES, LONGEST = 200, 200
"""Classes, and letters of a class or an annotator."""


class Form(NamedTuple):
    """What answers are, and which rows are held out: on record with them, so that a record explains itself.

    names: of classes or labels; () for numbers. several: a row has any number of them. soft: distributions too.
    """

    names: tuple[str, ...]
    several: bool
    soft: bool
    number: Number | None
    num_rows: int
    test_rows: tuple[int, ...]

    @property
    def pool_rows(self) -> np.ndarray:
        """Rows that may be asked for: number p of the campaign is row ``pool_rows[p]``."""
        return np.setdiff1d(np.arange(self.num_rows), self.test_rows)


def form_of(labeling: Labeling) -> Form:
    """The form of a labeling that makes sense.

    Raises:
      ValueError, TypeError: named in one sentence: what was expected, what came, what to do.
    """
    if not isinstance(labeling, Labeling):
        raise TypeError(f"expected a bal.labeling.Labeling, got {type(labeling).__name__}; make one: Labeling(x, ...)")
    if not callable(labeling.render):
        raise TypeError(
            f"expected render as a function of a row number, got {type(labeling.render).__name__}; write "
            "lambda row: text(texts[row])"
        )
    kinds = [name for name in ("classes", "several", "number") if getattr(labeling, name) is not None]
    if len(kinds) != 1:
        got = " and ".join(kinds) or "none of them"
        raise ValueError(f"expected one of classes, several and number, got {got}; say what an answer is")
    names = () if labeling.number is not None else _names(labeling.classes or labeling.several or ())
    if labeling.soft and not labeling.classes:
        raise ValueError("soft answers are distributions over classes, got no classes; name them or leave soft out")
    number = None if labeling.number is None else _number(labeling.number)
    for name in ("batch_size", "capacity"):
        check_count(name, getattr(labeling, name))
    if labeling.budget is not None:
        check_count("budget", labeling.budget)
    for name in ("repeat", "test_share"):
        if not 0 <= getattr(labeling, name) <= 1:
            raise ValueError(f"expected {name} as a share in [0, 1], got {getattr(labeling, name)}; 0.1 is a tenth")
    if not labeling.patience > 0:
        raise ValueError(f"expected patience as a positive number of seconds, got {labeling.patience}")
    n = num_rows(as_rows(labeling.x))
    return Form(names, labeling.several is not None, labeling.soft, number, n, _test_rows(labeling, n))


def keys_of(form: Form, keys: Mapping[str, str] | None) -> dict[str, str]:
    """One key of the keyboard for each name: those given, or a letter of the name that is free, or what is left.

    Raises:
      ValueError: two names with one key, a key that skips or undoes, is not one letter or digit, or of no class.

    >>> keys_of(Form(("spam", "ham", "7"), False, False, None, 9, ()), None)
    {'spam': 'p', 'ham': 'h', '7': '7'}
    """
    found: dict[str, str] = {}
    for name, key in (keys or {}).items():
        if name not in form.names:
            raise ValueError(f"key {key!r} is for {name!r}, which is none of the classes {list(form.names)}; mend keys")
        if not isinstance(key, str) or len(key) != 1 or not key.isprintable() or key.isspace():
            raise ValueError(f"expected one letter or digit as the key of {name!r}, got {key!r}")
        if key.lower() in RESERVED:
            raise ValueError(f"key {key!r} of {name!r} is taken: s skips and u takes back; choose another")
        twin = next((other for other, held in found.items() if held == key.lower()), None)
        if twin is not None:
            raise ValueError(f"{twin!r} and {name!r} have one key, {key!r}; give each its own")
        found[name] = key.lower()
    free = [key for key in string.digits[1:] + "0" + string.ascii_lowercase if key not in RESERVED]
    for name in form.names:
        own = [letter for letter in name.lower() if letter in free and letter not in found.values()]
        own += [key for key in free if key not in found.values()]
        if name not in found and own:
            found[name] = own[0]
    return {name: found[name] for name in form.names if name in found}


def label(form: Form, answer: Answer) -> Any:
    """An answer as `Campaign.tell` takes it: a name, a distribution, numbers 0 and 1, or a number.

    Raises:
      ValueError: another class, no distribution, a number out of range.

    >>> label(Form(("red", "big", "old"), True, False, None, 9, ()), ["old", "red"])
    [1, 0, 1]
    """
    if form.number is not None:
        low, high, unit = form.number
        real = isinstance(answer, int | float | np.number) and not isinstance(answer, bool)
        if not real or not low <= float(answer) <= high:  # NaN is in no range
            raise ValueError(f"expected a number from {low:g} to {high:g} {unit}".rstrip() + f", got {answer!r}")
        return float(answer)
    if form.several:
        if isinstance(answer, str | Mapping) or not isinstance(answer, Collection):
            raise ValueError(f"expected a collection of names, as ['{form.names[0]}'], got {answer!r}; [] is none")
        for name in answer:
            _known(form, name)
        return [int(name in answer) for name in form.names]
    if isinstance(answer, str) or not form.soft:
        return _known(form, answer)
    if isinstance(answer, Mapping):
        answer = [answer.get(name, 0.0) for name in form.names if not (answer.keys() - form.names)]
    try:
        chance = np.asarray(answer, np.float64)
    except (TypeError, ValueError):
        chance = np.zeros(0)
    if chance.shape != (len(form.names),) or not (chance >= 0).all() or not abs(chance.sum() - 1) < 1e-3:
        raise ValueError(f"expected a class, or {len(form.names)} probabilities that add up to 1, got {answer!r}")
    return (chance / chance.sum()).tolist()


def stored(form: Form, told: Any) -> Any:
    """What `label` made, as it stands on record: numbers of classes."""
    if isinstance(told, str):
        number = form.names.index(told)
        return np.eye(len(form.names))[number].tolist() if form.soft else number
    return told


def given(form: Form, held: Any) -> Answer:
    """What stands on record as it was given: names.

    >>> given(Form(("cat", "dog"), False, True, None, 9, ()), [0.25, 0.75])
    {'cat': 0.25, 'dog': 0.75}
    """
    if held is None or form.number is not None:
        return held
    if form.several:
        return tuple(name for name, has in zip(form.names, held, strict=True) if has)
    if isinstance(held, list):
        return form.names[int(np.argmax(held))] if max(held) == 1 else dict(zip(form.names, held, strict=True))
    return form.names[held]


def check_annotator(name: Any, known: Collection[str] | None = None) -> str:
    """A name: text of a reasonable length, without blanks around it; one of those `known`, if they are given."""
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST or not name.isprintable():
        raise ValueError(f"expected the annotator's name, at most {LONGEST} letters, got {str(name)[:40]!r}")
    name = name.strip()
    if known is not None and name not in known:
        raise ValueError(f"{name} is none of the annotators {list(known)}; give one of these names")
    return name


def _known(form: Form, name: Any) -> str:
    if not isinstance(name, str) or name not in form.names:
        raise ValueError(f"answer {name!r} is none of {list(form.names)}; give one of them")
    return name


def _names(names: Any) -> tuple[str, ...]:
    found = () if isinstance(names, str) else tuple(names)
    fit = all(isinstance(name, str) and name.strip() and len(name) <= LONGEST and name.isprintable() for name in found)
    if not found or not fit or len(set(found)) != len(found) or len(found) > MOST_NAMES:
        raise ValueError(f"expected 1 to {MOST_NAMES} distinct names of classes, each a text, got {list(names)[:9]}")
    return found


def _number(number: Any) -> Number:
    if not isinstance(number, tuple) or len(number) not in (2, 3):
        raise TypeError(f"expected number as Number(low, high, unit), got {number!r}")
    found = Number(*number)
    if not (np.isfinite([found.low, found.high]).all() and found.low < found.high):
        raise ValueError(f"expected low < high, both finite, got {found.low} and {found.high}")
    return found


def _test_rows(labeling: Labeling, n: int) -> tuple[int, ...]:
    rows, given = labeling.test_rows, labeling.test is not None
    if isinstance(rows, int | np.integer):
        check_count("test_rows", int(rows), 0)
        rows = np.random.default_rng(labeling.seed).choice(n, min(int(rows), n), replace=False)
    found = np.unique(np.asarray(rows, int))
    if given and len(found):
        raise ValueError(f"expected test or test_rows, got both; {len(found)} rows need no answers where test has them")
    if len(found) and not (found[0] >= 0 and found[-1] < n and len(found) < n):
        raise ValueError(f"expected test_rows among the {n} rows, leaving some to ask for, got {len(found)} of them")
    return tuple(found.tolist())
