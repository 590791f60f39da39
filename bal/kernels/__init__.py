"""Kernels: what a batch rule compares rows with.

A batch method is *base kernel x transform x rule*: a `KernelOf` builds a `Kernel` from candidates, combinators wrap
it, transforms change the rows first, and the rules of `bal.selection` read its columns and diagonal.
"""

from bal.kernels.gradient import Factors, Gradients, gradient
from bal.kernels.infinite_width import nngp, ntk
from bal.kernels.kernel import kernel_of_part, kernel_sum, make_kernel, noisy, scaled_by
from bal.kernels.learner import learner_covariance, posterior_covariance
from bal.kernels.linear import draw_covariance, linear
from bal.kernels.matrix import covariance_matrix
from bal.kernels.posterior import conditioned, given_known
from bal.kernels.rbf import rbf
from bal.kernels.sketch import acs_features, sketch
from bal.kernels.tanimoto import packed_bits, tanimoto
from bal.kernels.transforms import centered, map_rows, pool_only, scaled

__all__ = [
    "Factors",
    "Gradients",
    "acs_features",
    "centered",
    "conditioned",
    "covariance_matrix",
    "draw_covariance",
    "given_known",
    "gradient",
    "kernel_of_part",
    "kernel_sum",
    "learner_covariance",
    "linear",
    "make_kernel",
    "map_rows",
    "nngp",
    "noisy",
    "ntk",
    "packed_bits",
    "pool_only",
    "posterior_covariance",
    "rbf",
    "scaled",
    "scaled_by",
    "sketch",
    "tanimoto",
]
