"""bal features."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from bal import datasets
from bal.cli.commands import Features
from bal.datasets.frames import texts_of

IMAGES = {"mnist": datasets.mnist, "fashion_mnist": datasets.fashion_mnist}
PUBLISHED = ("minilm", "efficientnet-lite0")
ENCODERS = ("minilm", "tiny-text", "efficientnet-lite0", "tiny-image")


class Items(NamedTuple):
    """What is encoded: kind is "texts", "pictures" (paths) or "images" (arrays); ids None = numbers."""

    kind: str
    rows: Any
    ids: list[str] | None = None


def features(command: Features, console: Console) -> int:
    """Encode all rows of a source that are not in the folder yet."""
    from bal.features import cache_features

    items = items_of(command)
    encode, source, batch_size = encoder_of(command, items)
    settings = {"ids": items.ids, "batch_size": batch_size, "console": console}
    found = cache_features(command.out, items.rows, encode, source, **settings)
    say = lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
    empty = sum(not text.strip() for text in items.rows) if items.kind == "texts" else 0
    if empty:
        say(f"{empty} of {len(items.rows)} texts are empty; they all have the features of an empty text")
    rows = " x ".join(map(str, found.x.shape))
    say(f"{rows} features of {source.name} in {command.out}; bal.features.open_features reads them")
    if not source.sha256:
        say("its weights are random: these features are good for trying things, and nothing else")
    return 0


def items_of(command: Features) -> Items:
    """What was typed as the source.

    Raises:
      ValueError: no such file, column or data set, or an option that is for another kind.
    """
    path, name = Path(command.source), command.source
    if path.suffix != ".csv" and (command.column or command.id):
        raise ValueError(f"--column and --id are for .csv files, but {name} is none; leave them out")
    if path.suffix == ".csv":
        return _of_table(path, command.column, command.id)
    if path.suffix == ".txt" and path.is_file():
        return Items("texts", _lines(path))
    if path.is_dir():
        files = datasets.picture_files(path)
        return Items("pictures", files, [file.relative_to(path).as_posix() for file in files])
    if name == "sms_spam":
        return Items("texts", datasets.sms_spam().x)
    if name in IMAGES:
        images = IMAGES[name]()
        parts = [(part, x) for part, x in (("train", images.x), ("test", images.x_test)) if x is not None]
        ids = [f"{part}-{number}" for part, x in parts for number in range(len(x))]
        return Items("images", np.concatenate([x for _, x in parts]), ids)
    raise ValueError(
        f"expected a .csv or .txt file, a folder of pictures, or sms_spam, {' or '.join(IMAGES)}, got {name!r}, which "
        "is not there"
    )


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file.name} cannot be read as text in UTF-8 ({error}); save it as that") from None


def _of_table(file: Path, column: str | None, id_column: str | None) -> Items:
    held = texts_of(file)
    column = next(iter(held)) if column is None and len(held) == 1 else column
    if column is None:
        raise ValueError(f"{file.name} has columns {', '.join(held)}; say by --column which holds the texts")
    for option, wanted in (("--column", column), ("--id", id_column)):
        if wanted is not None and wanted not in held:
            raise ValueError(f"{option} names a column of {file.name}, one of {', '.join(held)}, got {wanted}")
    return Items("texts", held[column], None if id_column is None else held[id_column])


def encoder_of(command: Features, items: Items) -> tuple[Callable[[Any], Any], Any, int]:
    """What encodes such items, its source, and how many it gets at a time.

    Raises:
      ValueError: an encoder of the other kind, or none; an option for another one; a text that is too long.
    """
    import jax

    from bal import backbones

    name, reads = command.encoder, "texts" if items.kind == "texts" else "images"
    is_text = name in ("minilm", "tiny-text") or (name not in ENCODERS and Path(name).exists())
    if not is_text and name not in ENCODERS:
        raise ValueError(f"expected {', '.join(ENCODERS)} or a folder with a checkpoint, got {name!r}")
    if is_text != (reads == "texts"):
        raise ValueError(f"{name} encodes {'texts' if is_text else 'images'}, but {command.source} holds {reads}")
    for option, is_given, is_meant, what in (
        ("--truncate", command.truncate is not None, is_text, "texts"),
        ("--size", command.size is not None, name == "efficientnet-lite0", "efficientnet-lite0"),
        ("--download", command.download, name in PUBLISHED, " and ".join(PUBLISHED)),
    ):
        if is_given and not is_meant:
            raise ValueError(f"{option} is for {what}, but {name} has no use for it; leave it out")
    key = jax.random.key(0)
    if is_text:
        loaders = {"minilm": partial(backbones.minilm, download=command.download)}
        loaders |= {"tiny-text": lambda: backbones.tiny_text_encoder(key)}
        encoder = loaders.get(name, partial(backbones.bert_encoder, name))()
        source = encoder.source
        if command.truncate is None:
            _check_lengths(encoder, items)
        else:
            source = source._replace(preprocessing=f"{source.preprocessing}; cut to {command.truncate} tokens")
        return partial(backbones.sentence_features, encoder, truncate=command.truncate), source, 1024
    if name == "tiny-image":
        encoder = backbones.tiny_image_encoder(key)
    else:
        encoder = backbones.efficientnet_lite0(download=command.download, size=command.size or 224)
    if items.kind == "images":
        return partial(backbones.image_features, encoder), encoder.source, 64
    seen = lambda files: backbones.image_features(encoder, datasets.picture_pixels(files, encoder.size))
    read = f"files by Pillow, smoothed; {encoder.source.preprocessing}"
    return seen, encoder.source._replace(preprocessing=read), 64


def _check_lengths(encoder: Any, items: Items) -> None:
    """A text that is too long is told before hours are spent on those above it."""
    longest = encoder.module.config.longest
    for number, text in enumerate(items.rows):
        if len(text) > longest // 4:  # a shorter one has no more tokens, unless a character has several
            count = len(encoder.tokenizer.encode_batch([text])[0].ids)
            if count > longest:
                name = number if items.ids is None else items.ids[number]
                raise ValueError(
                    f"text {name!r} has {count} tokens, but {encoder.source.name} takes at most {longest}; shorten it, "
                    f"or type --truncate {longest} to cut those that are longer"
                )
