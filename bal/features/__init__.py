"""Features of a frozen encoder: computed once, kept in a folder, read as a pool.

The folder holds ``features-00000.safetensors`` and so on, each with an array "x" of some rows, which any library of
that format reads; ``ids.json``, what the rows are called; and ``manifest.json``: which encoder, of which items.
"""

from bal.features.caching import cache_features
from bal.features.manifest import Manifest
from bal.features.reading import Features, open_features
from bal.features.rows import ShardedRows

__all__ = ["Features", "Manifest", "ShardedRows", "cache_features", "open_features"]
