"""Sweeps: many cells, each a study or any function, run once by whatever processes and machines share a folder.

cells      `grid`: settings in a frozen dataclass, checked, as plain values and back
functions  the function of a cell by a name that other processes can import
store      what is known of every cell on disk; the locks
work       one cell, run by the process that claims it
engines    local processes, Slurm, Ray, Dask, or what has `submit`
sweep      the loop that hands cells out until all have ended

Imports no JAX: workers set their threads before it starts.
"""

from bal.sweep.cells import grid
from bal.sweep.store import Outcome
from bal.sweep.sweep import sweep

__all__ = ["Outcome", "grid", "sweep"]
