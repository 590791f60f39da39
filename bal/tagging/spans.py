"""Spans of BIO tags and how many of them a tagger found: as sets for people, as counts for compiled programs.

A span begins at ``B-x``, and at ``I-x`` after anything but ``B-x`` or ``I-x``, as in the script of CoNLL; it is right
where its kind, first and last word are.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bal.method import method
from bal.tagging.crf import PADDED
from bal.tagging.tagger import Sentences
from bal.typing import Posterior, Tags


class Span(NamedTuple):
    """A kind, and the first and last word of it."""

    kind: str
    first: int
    last: int


class Scheme(NamedTuple):
    """Tags by number: their kind, -1 for none (O), and which begin a span (B)."""

    kind: Int[np.ndarray, "C"]
    begins: Bool[np.ndarray, "C"]


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence, in order; B and I alone are of the kind "".

    >>> spans(["B-per", "I-per", "O", "I-loc", "B-loc"])
    [Span(kind='per', first=0, last=1), Span(kind='loc', first=3, last=3), Span(kind='loc', first=4, last=4)]
    """
    found: list[Span] = []
    before = None
    for place, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "I" and kind == before:
            found[-1] = found[-1]._replace(last=place)
        elif mark in ("B", "I"):
            found.append(Span(kind, place, place))
        before = kind if mark in ("B", "I") else None
    return found


def bio_scheme(names: Sequence[str]) -> Scheme:
    """The scheme of tags called O, B-x and I-x.

    Raises:
      ValueError: other names.

    >>> bio_scheme(("O", "B-per", "I-per")).kind.tolist()
    [-1, 0, 0]
    """
    wrong = [name for name in names if name != "O" and name[:2] not in ("B-", "I-")]
    if wrong:
        raise ValueError(f"expected tags called O, B-x or I-x, got {wrong[0]!r}; spans need BIO tags")
    kinds = sorted({name[2:] for name in names if name != "O"})
    number = [kinds.index(name[2:]) if name != "O" else -1 for name in names]
    return Scheme(np.array(number, np.int32), np.array([name.startswith("B-") for name in names]))


def span_counts(
    scheme: Scheme, tags: Int[Array, "N T"], predicted: Int[Array, "N T"]
) -> tuple[Int[Array, ""], Int[Array, ""], Int[Array, ""]]:
    """How many spans were found, how many there are, and how many were predicted; -1 is padding.

    Use it where a compiled program measures; `spans` lists them.

    >>> scheme = bio_scheme(("O", "B-per", "I-per"))
    >>> [count.item() for count in span_counts(scheme, jnp.array([[1, 2, 0, 1]]), jnp.array([[1, 2, 0, 0]]))]
    [1, 2, 1]
    """
    own, first, last = _marks(scheme, tags)
    their, their_first, their_last = _marks(scheme, predicted)
    hits = first & their_first & (own == their) & (last == their_last)
    return hits.sum(), first.sum(), their_first.sum()


def f1(hits: Array, true: Array, predicted: Array) -> Float[Array, ""]:
    """``2 hits / (true + predicted)``, the harmonic mean of precision and recall; 0 where there is nothing.

    >>> round(f1(jnp.array(1), jnp.array(2), jnp.array(1)).item(), 4)
    0.6667
    """
    return 2 * hits / jnp.maximum(true + predicted, 1)


@method
def tagging(names: Sequence[str] = ()) -> Callable[[Posterior, tuple[Sentences, Array]], dict[str, Array]]:
    """What a set-up measures of a tagger: ``accuracy`` of words, and with BIO tags ``f1`` of spans.

    Of the likeliest tags without dropout, on a test set ``(Sentences, tags [M, T])``.

    Args:
      names: of the tags, for spans; none for accuracy alone (parts of speech).

    Raises:
      ValueError: names that are no BIO tags.

    >>> tagging(("O", "B-per", "I-per"))
    tagging(names=('O', 'B-per', 'I-per'))
    """
    scheme = bio_scheme(names) if names else None

    def evaluate(posterior: Posterior, test: tuple[Sentences, Array]) -> dict[str, Array]:
        x, y = test
        found: Tags = posterior.predict(x)
        return measured(scheme, y, found.best)

    return evaluate


def measured(scheme: Scheme | None, tags: Int[Array, "N T"], best: Int[Array, "N T"]) -> dict[str, Array]:
    """Accuracy of words, and f1 of spans where there is a scheme."""
    words = tags >= 0
    accuracy = (words & (tags == best)).sum() / jnp.maximum(words.sum(), 1)
    return (
        {"accuracy": accuracy} if scheme is None else {"accuracy": accuracy, "f1": f1(*span_counts(scheme, tags, best))}
    )


def _marks(scheme: Scheme, tags: Int[Array, "N T"]) -> tuple[Array, Array, Array]:
    """Of each place the kind, whether a span begins there, and the last place of the span that holds it."""
    real = tags > PADDED
    kind = jnp.where(real, jnp.asarray(scheme.kind)[jnp.clip(tags, 0)], -1)
    begins = real & jnp.asarray(scheme.begins)[jnp.clip(tags, 0)]
    before = jnp.pad(kind, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    first = (kind >= 0) & (begins | (before != kind))
    goes_on = (kind >= 0) & ~first
    ends = ~jnp.pad(goes_on, ((0, 0), (0, 1)))[:, 1:]
    place = jnp.arange(tags.shape[1], dtype=jnp.int32)
    last = jax.lax.cummin(jnp.where(ends, place, tags.shape[1]), axis=1, reverse=True)
    return kind, first, last
