"""bal features."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from bal import datasets
from bal.cli.commands import Features
from bal.datasets.frames import columns_of

IMAGES = {"mnist": datasets.mnist, "fashion_mnist": datasets.fashion_mnist}
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
    encode, source, batch_size = encoder_of(command, items.kind)
    settings = {"ids": items.ids, "batch_size": batch_size, "console": console}
    found = cache_features(command.out, items.rows, encode, source, **settings)
    say = lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
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
        return Items("texts", [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()])
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


def _of_table(file: Path, column: str | None, id_column: str | None) -> Items:
    held, _ = columns_of(file)
    if column is None and len(held) == 1:
        (column,) = held
    for option, wanted in (("--column", column), ("--id", id_column)):
        if wanted not in held and (wanted is not None or option == "--column"):
            raise ValueError(f"{option} names a column of {file.name}, one of {', '.join(held)}, got {wanted}")
    texts = ["" if value is None else str(value) for value in held[str(column)]]
    return Items("texts", texts, None if id_column is None else [str(value) for value in held[id_column]])


def encoder_of(command: Features, kind: str) -> tuple[Callable[[Any], Any], Any, int]:
    """What encodes items of this kind, its source, and how many it gets at a time.

    Raises:
      ValueError: an encoder of the other kind, or none.
    """
    import jax

    from bal import backbones

    name, reads = command.encoder, "texts" if kind == "texts" else "images"
    is_text = name in ("minilm", "tiny-text") or (name not in ENCODERS and Path(name).exists())
    if not is_text and name not in ENCODERS:
        raise ValueError(f"expected {', '.join(ENCODERS)} or a folder with a checkpoint, got {name!r}")
    if is_text != (reads == "texts"):
        raise ValueError(f"{name} encodes {'texts' if is_text else 'images'}, but {command.source} holds {reads}")
    key = jax.random.key(0)
    if is_text:
        loaders = {"minilm": partial(backbones.minilm, download=command.download)}
        loaders |= {"tiny-text": lambda: backbones.tiny_text_encoder(key)}
        encoder = loaders.get(name, partial(backbones.bert_encoder, name))()
        source = encoder.source
        if command.truncate is not None:
            source = source._replace(preprocessing=f"{source.preprocessing}; cut to {command.truncate} tokens")
        return partial(backbones.sentence_features, encoder, truncate=command.truncate), source, 1024
    if name == "tiny-image":
        encoder = backbones.tiny_image_encoder(key)
    else:
        encoder = backbones.efficientnet_lite0(download=command.download, size=command.size)
    if kind == "images":
        return partial(backbones.image_features, encoder), encoder.source, 64
    seen = lambda files: backbones.image_features(encoder, datasets.picture_pixels(files, encoder.size))
    read = f"files by Pillow, smoothed; {encoder.source.preprocessing}"
    return seen, encoder.source._replace(preprocessing=read), 64
