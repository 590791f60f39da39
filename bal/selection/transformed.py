"""Transforms in front of a rule: the middle of *base kernel x transform x rule*."""

import jax

from bal.method import method
from bal.typing import Candidates, PRNGKey, Select, Selection, Transform


@method
def transformed(select: Select, *transforms: Transform) -> Select:
    """Select from candidates that went through the transforms, first to last, each with a key of its own.

    >>> from bal.kernels import centered, linear, scaled
    >>> from bal.selection import k_center, select
    >>> select([[5.0], [6.0], [9.0]], None, transformed(k_center(linear), centered, scaled), 2).indices.tolist()
    [2, 0]
    """

    def select_transformed(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        key_transform, key_select = jax.random.split(key)
        for number, transform in enumerate(transforms):
            candidates = transform(jax.random.fold_in(key_transform, number), candidates)
        return select(key_select, candidates, batch_size)

    return select_transformed
