"""Strict settings for every test: no silent broadcasting of ranks, two host devices, shapes checked at every call.

Shapes are checked by the option ``--jaxtyping-packages`` in pyproject.toml.
"""

import os

import jax

os.environ.setdefault("MPLBACKEND", "agg")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
