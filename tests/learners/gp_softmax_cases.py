"""Softmax classification by Gaussian processes in plain numpy, on dense matrices ``[C L, C L]``, and its problems."""

import gpjax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import block_diag
from scipy.special import log_softmax, softmax

from bal.learners.gp import process
from bal.typing import Data

RNG = np.random.default_rng(0)
CAPACITY = 9
X, X_NEW = RNG.normal(size=(CAPACITY, 2)), RNG.normal(size=(5, 2))
Y = np.array([0, 2, 1, 2, 0, 0, 1, 2, 1], np.int32)
WEIGHT = np.array([1.0, 1, 2, 0, 1, 1, 0.5, 1, 0])
REAL = WEIGHT > 0


def rbf(lengthscale, variance):
    return lambda a, b: variance * np.exp(-0.5 * ((a[:, None] - b[None]) ** 2).sum(-1) / lengthscale**2)


def matern(lengthscale, variance):
    def gram(a, b):
        r = np.sqrt(3 * ((a[:, None] - b[None]) ** 2).sum(-1)) / lengthscale
        return variance * (1 + r) * np.exp(-r)

    return gram


PRIORS = {
    "two": [(rbf, 0.8, 3.0, 0.0)],
    "shared": [(rbf, 0.8, 3.0, 0.0)],
    "each": [(rbf, 0.8, 3.0, 0.5), (matern, 1.5, 1.0, -0.4), (rbf, 0.4, 6.0, 0.0)],
}
"""Kernel, lengthscale, variance and mean of each process: of two classes, or three."""
CLASSES = {"two": 2, "shared": 3, "each": 3}


def processes(name):
    kinds = {rbf: gpjax.kernels.RBF, matern: gpjax.kernels.Matern32}
    made = [
        process(kinds[kind](lengthscale=length, variance=variance), mean=gpjax.mean_functions.Constant(mean))
        for kind, length, variance, mean in PRIORS[name]
    ]
    return made if len(made) > 1 else made[0]


def grams(name, a, b):
    """One gram matrix a process ``[P, n, m]``."""
    return np.stack([kind(length, variance)(a, b) for kind, length, variance, _ in PRIORS[name]])


def means(name, n):
    return np.broadcast_to(np.array([[mean] for *_, mean in PRIORS[name]]), (CLASSES[name], n))


def dense(name, stacked):
    """The covariance of all latents, classes one after the other."""
    return block_diag(*(stacked if len(stacked) > 1 else stacked.repeat(CLASSES[name], 0)))


def labels(name):
    return np.minimum(Y, CLASSES[name] - 1)


def shares(name):
    """Class of each label as a distribution ``[C, L]``."""
    return np.eye(CLASSES[name])[:, labels(name)]


def by_newton(name, shift=0.0):
    """The dense posterior of the real labels under a prior with other means."""
    real, mean = X[REAL], means(name, REAL.sum()) + shift
    return newton(dense(name, grams(name, real, real)), mean, shares(name)[:, REAL], WEIGHT[REAL])


def at_new_rows(name, shift=0.0):
    """Mean ``[C, n]`` and covariance ``[C n, C n]`` of the latents at new rows, by the dense formula."""
    _, slope, p, _ = by_newton(name, shift)
    cross = dense(name, grams(name, X_NEW, X[REAL]))
    mean = means(name, len(X_NEW)) + shift + (cross @ slope.ravel()).reshape(CLASSES[name], -1)
    return mean, dense(name, grams(name, X_NEW, X_NEW)) - cross @ p @ cross.T


def curvature(f, weight):
    """W of all labels."""
    probs = softmax(f, 0)
    w = np.zeros((*f.shape, *f.shape))
    for i in range(f.shape[1]):
        w[:, i, :, i] = weight[i] * (np.diag(probs[:, i]) - np.outer(probs[:, i], probs[:, i]))
    return w.reshape(f.size, f.size)


def newton(k, mean, share, weight):
    """Mode, slope there, ``(K + W⁻¹)⁻¹`` and log evidence by plain inverses; all real labels, K of full rank."""
    f, inverse = mean.copy(), np.linalg.inv(k)
    for _ in range(100):
        w, slope = curvature(f, weight), weight * (share - softmax(f, 0))
        f = mean + np.linalg.solve(inverse + w, w @ (f - mean).ravel() + slope.ravel()).reshape(f.shape)
    w, slope, apart = curvature(f, weight), weight * (share - softmax(f, 0)), (f - mean).ravel()
    fit = (weight * share * log_softmax(f, 0)).sum() - 0.5 * apart @ inverse @ apart
    evidence = fit - 0.5 * np.linalg.slogdet(np.eye(f.size) + k @ w)[1]
    return f, slope, np.linalg.solve(np.eye(f.size) + w @ k, w), evidence


def data(y, weight=WEIGHT, x=X):
    return Data(jnp.asarray(x), jnp.asarray(y), jnp.asarray(weight))
