"""Binary Gaussian process classification by the book, in plain numpy, and one compiled program for all its tests."""

import functools

import gpjax
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import erfcx, log_ndtr

from bal.learners.gp import laplace, logit, probit, process, variational
from bal.learners.gp.classification import approximate
from bal.learners.gp.sites import Approximation
from bal.typing import Data

RNG = np.random.default_rng(0)
X, X_NEW = RNG.normal(size=(8, 2)), RNG.normal(size=(5, 2))
Y = np.array([1, 0, 0, 1, 1, 0, 1, 1])
LENGTHSCALE, VARIANCE, MEAN = 0.8, 6.0, 0.3
CAPACITY = 12
LINKS = {"probit": probit, "logit": logit}
METHODS = {"laplace": laplace(), "variational": variational()}
NUMPY = {"probit": log_ndtr, "logit": lambda f: -np.logaddexp(0.0, -f)}


def prior(mean=MEAN, variance=VARIANCE, fixed=False):
    kernel = gpjax.kernels.RBF(lengthscale=LENGTHSCALE, variance=variance)
    return process(kernel, mean=gpjax.mean_functions.Constant(mean), fixed=fixed)


def data(x=X, y=Y, weight=None):
    return Data(jnp.array(x), jnp.array(y), jnp.ones(len(x)) if weight is None else jnp.array(weight))


def gram(a, b, variance=VARIANCE):
    return variance * np.exp(-0.5 * ((a[:, None] - b[None]) ** 2).sum(-1) / LENGTHSCALE**2)


def slopes(name, f):
    """First derivative and negative second derivative of a link, in plain numpy."""
    if name == "probit":
        hazard = np.sqrt(2 / np.pi) / erfcx(-f / np.sqrt(2))
        return hazard, hazard * (hazard + f)
    p = 1 / (1 + np.exp(-f))
    return 1 / (1 + np.exp(f)), p / (1 + np.exp(f))


def newton(name, x, y, mean=MEAN, variance=VARIANCE):
    """Algorithm 3.1 of Rasmussen and Williams by plain inverses: mode, W, slope and log evidence."""
    k, sign, f = gram(x, x, variance), 2 * y - 1, np.full(len(x), mean)
    for _ in range(60):
        slope, w = slopes(name, sign * f)
        f = mean + np.linalg.solve(np.linalg.inv(k) + np.diag(w), w * (f - mean) + sign * slope)
    slope, w = slopes(name, sign * f)
    quadratic = (f - mean) @ np.linalg.solve(k, f - mean)
    log_det = np.linalg.slogdet(np.eye(len(x)) + k * w[None])[1]
    return f, w, sign * slope, NUMPY[name](sign * f).sum() - 0.5 * quadratic - 0.5 * log_det


@functools.cache
def program(method, link):
    return jax.jit(lambda model, given, start: approximate(model, METHODS[method], LINKS[link], given, start))


def run_approximate(model, method, link, x=X, y=Y, weight=None, start=None):
    """One program a method and link: every problem is padded to so many labels, which a test of its own allows."""
    real, empty = len(x), CAPACITY - len(x)
    weight = np.r_[np.ones(real) if weight is None else weight, np.zeros(empty)]
    start = np.zeros(CAPACITY) if start is None else np.r_[start, np.zeros(empty)]
    given = data(np.r_[x, np.zeros((empty, 2))], np.r_[y, np.zeros(empty, int)], weight)
    whiten, alpha, precision, log_evidence, gap = program(method, link)(model, given, jnp.array(start))
    return Approximation(whiten, alpha[:real], precision[:real], log_evidence, gap)
