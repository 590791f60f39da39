"""Functions in closed form that figures learn, each with the box that its inputs are drawn from."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Function = Callable[[Float[np.ndarray, "n D"]], Float[np.ndarray, "n"]]


class Formula(NamedTuple):
    """A function of D inputs in a box, and the standard deviation of the noise of its labels."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    function: Function
    noise: float = 0.0

    def rows(self, unit: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D"]:
        """Inputs in the box of rows in the unit cube."""
        return np.asarray(self.low) + unit * (np.asarray(self.high) - np.asarray(self.low))


def gramacy1d(x: Float[np.ndarray, "n 1"]) -> Float[np.ndarray, "n"]:
    """Gramacy and Lee 2012, "Cases for the nugget in modeling computer experiments"."""
    return np.sin(10 * np.pi * x[:, 0]) / (2 * x[:, 0]) + (x[:, 0] - 1) ** 4


def higdon1d(x: Float[np.ndarray, "n 1"]) -> Float[np.ndarray, "n"]:
    """Two waves, and from 10 on a line: Higdon 2002; Gramacy and Lee 2008."""
    waves = np.sin(np.pi * x[:, 0] / 5) + 0.2 * np.cos(4 * np.pi * x[:, 0] / 5)
    return np.where(x[:, 0] < 10, waves, x[:, 0] / 10 - 1)


def gramacy2d(x: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n"]:
    """A hill and a valley in a corner of a plain: Gramacy and Lee 2008, "Bayesian treed Gaussian process models"."""
    return x[:, 0] * np.exp(-(x**2).sum(1))


def branin2d(x: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n"]:
    """Branin 1972."""
    bend = x[:, 1] - 5.1 / (4 * np.pi**2) * x[:, 0] ** 2 + 5 / np.pi * x[:, 0] - 6
    return bend**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x[:, 0]) + 10


def ishigami3d(x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n"]:
    """Ishigami and Homma 1990, with a = 7 and b = 0.1."""
    return np.sin(x[:, 0]) * (1 + 0.1 * x[:, 2] ** 4) + 7 * np.sin(x[:, 1]) ** 2


HARTMANN_SCALE = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
HARTMANN_CENTER = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6d(x: Float[np.ndarray, "n 6"]) -> Float[np.ndarray, "n"]:
    """Four valleys: Hartman 1973, "Some experiments in global optimization"."""
    apart = (HARTMANN_SCALE * (x[:, None] - HARTMANN_CENTER) ** 2).sum(2)
    return -(np.array([1.0, 1.2, 3.0, 3.2]) * np.exp(-apart)).sum(1)


def friedman1(x: Float[np.ndarray, "n 10"]) -> Float[np.ndarray, "n"]:
    """Five of ten inputs count: Friedman 1991, "Multivariate adaptive regression splines"."""
    return 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]


def friedman2(x: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n"]:
    """Impedance of an alternating current: Friedman 1991."""
    return np.hypot(x[:, 0], reactance(x))


def friedman3(x: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n"]:
    """Phase of an alternating current: Friedman 1991."""
    return np.arctan2(reactance(x), x[:, 0])


def reactance(x: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n"]:
    """Of coil and capacitor."""
    return x[:, 1] * x[:, 2] - 1 / (x[:, 1] * x[:, 3])


def borehole(x: Float[np.ndarray, "n 8"]) -> Float[np.ndarray, "n"]:
    """Flow of water, m³ a year: Worley 1987; Morris, Mitchell and Ylvisaker 1993."""
    radius, influence, upper, upper_head, lower, lower_head, length, conductivity = x.T
    ratio = np.log(influence / radius)
    leak = 2 * length * upper / (ratio * radius**2 * conductivity)
    return 2 * np.pi * upper * (upper_head - lower_head) / (ratio * (1 + leak + upper / lower))


def wing_weight(x: Float[np.ndarray, "n 10"]) -> Float[np.ndarray, "n"]:
    """Of a light aircraft, in pounds: Forrester, Sóbester and Keane 2008, "Engineering Design via Surrogate"."""
    area, fuel, aspect, sweep, pressure, taper, thickness, load, gross, paint = x.T
    cosine = np.cos(np.deg2rad(sweep))
    slender = (aspect / cosine**2) ** 0.6 * (100 * thickness / cosine) ** -0.3
    loaded = pressure**0.006 * taper**0.04 * (load * gross) ** 0.49
    return 0.036 * area**0.758 * fuel**0.0035 * slender * loaded + area * paint


SIMULATORS = {
    "Gramacy1d": Formula((0.5,), (2.5,), gramacy1d, 0.1),
    "Higdon1d": Formula((0.0,), (20.0,), higdon1d, 0.1),
    "Gramacy2d": Formula((-2.0, -2.0), (6.0, 6.0), gramacy2d, 0.05),
    "Branin2d": Formula((-5.0, 0.0), (10.0, 15.0), branin2d, 11.32),
    "Ishigami3d": Formula((-np.pi,) * 3, (np.pi,) * 3, ishigami3d, 0.187),
    "Hartmann6d": Formula((0.0,) * 6, (1.0,) * 6, hartmann6d, 0.0192),
}
"""With the noise of Riis et al. 2022."""

_CURRENT = (0.0, 40 * np.pi, 0.0, 1.0), (100.0, 560 * np.pi, 1.0, 11.0)
REGRESSIONS = {
    "Friedman 1": Formula((0.0,) * 10, (1.0,) * 10, friedman1),
    "Friedman 2": Formula(*_CURRENT, friedman2),
    "Friedman 3": Formula(*_CURRENT, friedman3),
    "borehole": Formula(
        (0.05, 100.0, 63_070.0, 990.0, 63.1, 700.0, 1_120.0, 9_855.0),
        (0.15, 50_000.0, 115_600.0, 1_110.0, 116.0, 820.0, 1_680.0, 12_045.0),
        borehole,
    ),
    "wing weight": Formula(
        (150.0, 220.0, 6.0, -10.0, 16.0, 0.5, 0.08, 2.5, 1_700.0, 0.025),
        (200.0, 300.0, 10.0, 10.0, 45.0, 1.0, 0.18, 6.0, 2_500.0, 0.08),
        wing_weight,
    ),
}
"""Without noise."""
