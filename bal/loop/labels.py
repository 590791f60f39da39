"""What a campaign's labels are: class numbers, class names, distributions over classes, or real numbers."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bal.learners.settings import check_count
from bal.loop.checks import check_distributions, check_label_sets, check_labels
from bal.typing import Values


class LabelKind(NamedTuple):
    """num_classes: None = real numbers, num_outputs of them if that is given. classes: names, told and read back in
    place of numbers. soft: a label may be a distribution over classes, and is kept as one. sets: the outputs are labels
    of which a row has any number, each 0 or 1."""

    num_classes: int | None = None
    num_outputs: int | None = None
    classes: tuple[Any, ...] | None = None
    soft: bool = False
    sets: bool = False

    def like(self) -> Array:
        """Zeros shaped and typed like the label of one row."""
        if self.soft:
            return jnp.zeros((1, self.num_classes or 1))
        shape = (1,) if self.num_outputs is None else (1, self.num_outputs)
        return jnp.zeros(shape, float if self.num_classes is None else jnp.int32)

    def stored(self, labels: Values, rows: np.ndarray) -> np.ndarray:
        """Labels of rows as the log keeps them, checked."""
        count, soft = len(rows), self.soft and np.ndim(_objects(labels)) == 2
        if soft:
            return check_distributions(labels, count, self.num_classes, rows)
        if self.sets:
            check_label_sets(labels, count, self.num_outputs or 0, rows)
        if self.classes is not None:
            labels = self._numbers(_objects(labels), rows)
        y = check_labels(labels, count, self.num_classes, self.num_outputs, rows)
        return np.eye(self.num_classes or 1)[y] if self.soft else y

    def named(self, y: np.ndarray) -> np.ndarray:
        """Stored labels as they are read back: by name, if the classes have names."""
        if self.classes is None or self.soft:
            return np.asarray(y)
        return np.array(self.classes)[np.asarray(y)]

    def columns(self, y: np.ndarray) -> dict[str, list[Any]]:
        """Stored labels as columns of a table: one, or one for each output or class."""
        if y.ndim == 1:
            return {"label": self.named(y).tolist()}
        names = self.classes if self.soft and self.classes is not None else range(y.shape[1])
        return {f"label.{name}": y[:, number].tolist() for number, name in enumerate(names)}

    def _numbers(self, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if labels.shape != (len(rows),):
            raise ValueError(f"expected {len(rows)} labels, one for each row, got an array of shape {labels.shape}")
        known = {name: number for number, name in enumerate(self.classes or ())}
        for row, label in zip(rows, labels, strict=True):
            if not isinstance(label, str | int | float | np.generic) or label not in known:
                raise ValueError(f"label {label!r} of row {row} is none of the classes {list(known)}; tell one of them")
        return np.array([known[label] for label in labels], np.int32)


def label_kind(num_classes: Any, num_outputs: Any, classes: Any, soft: bool) -> LabelKind:
    """The kind of labels that a campaign is opened for.

    Raises:
      ValueError: both classes and outputs, classes that are not distinct names, soft labels without classes.
    """
    for name, number in (("num_classes", num_classes), ("num_outputs", num_outputs)):
        if number is not None:
            check_count(name, number)
    if classes is not None:
        classes = tuple(_objects(classes).tolist())
        if (
            len(set(classes)) != len(classes)
            or not classes
            or not all(isinstance(c, str | int | float) for c in classes)
        ):
            raise ValueError(f"expected distinct names of classes, text or numbers, got {list(classes)}")
        if len({isinstance(name, str) for name in classes}) > 1:
            raise ValueError(f"expected names of classes that are all text or all numbers, got {list(classes)}")
        if num_classes not in (None, len(classes)):
            raise ValueError(f"expected num_classes={num_classes} names of classes, got {len(classes)}; leave one out")
        num_classes = len(classes)
    if num_classes is not None and num_outputs is not None:
        raise ValueError(f"expected num_classes or num_outputs, got {num_classes} and {num_outputs}; leave one out")
    if soft and num_classes is None:
        raise ValueError("soft labels are distributions over classes: give num_classes, or classes by name")
    return LabelKind(num_classes, num_outputs, classes, soft)


def _objects(labels: Any) -> np.ndarray:
    """Labels of any type, in Python's own types where numpy has them."""
    try:
        return np.array(np.asarray(labels).tolist(), object) if hasattr(labels, "dtype") else np.array(labels, object)
    except ValueError as error:
        raise ValueError(f"expected labels that are a list of one length a row ({error}); use np.asarray") from error
