"""Kernels: what a batch rule compares rows with.

A batch method is *base kernel x transform x rule*: a `KernelOf` builds a `Kernel` from candidates, combinators wrap
it, transforms change the rows first, and the rules of `bal.selection` read its columns and diagonal.
"""

from bal.kernels.gradient import Factors, Gradients, gradient, last_layer_gradients, layer_gradients
from bal.kernels.infinite_width import nngp, ntk
from bal.kernels.kernel import Kernel, KernelOf, kernel_sum, noisy, of, scaled_by
from bal.kernels.learner import cross_covariance, learner_covariance, posterior_context, posterior_variance
from bal.kernels.linear import draw_covariance, linear
from bal.kernels.posterior import conditioned, given_known
from bal.kernels.sketch import acs_features, key_context, sketch, sketched
from bal.kernels.transforms import Transform, centred, map_rows, pool_only, scaled

__all__ = [
    "Factors",
    "Gradients",
    "Kernel",
    "KernelOf",
    "Transform",
    "acs_features",
    "centred",
    "conditioned",
    "cross_covariance",
    "draw_covariance",
    "given_known",
    "gradient",
    "kernel_sum",
    "key_context",
    "last_layer_gradients",
    "layer_gradients",
    "learner_covariance",
    "linear",
    "map_rows",
    "nngp",
    "noisy",
    "ntk",
    "of",
    "pool_only",
    "posterior_context",
    "posterior_variance",
    "scaled",
    "scaled_by",
    "sketch",
    "sketched",
]
