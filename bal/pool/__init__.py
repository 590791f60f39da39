"""The pool: what is handed in, how a row-wise function meets it, and the log of what was asked and answered."""

from bal.pool.arrays import as_rows
from bal.pool.labeled import make_pool
from bal.pool.over import chunked, dense, host, num_rows, streamed, take

__all__ = ["as_rows", "chunked", "dense", "host", "make_pool", "num_rows", "streamed", "take"]
