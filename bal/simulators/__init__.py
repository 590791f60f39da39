"""Solvers as oracles: the label of a row is computed inside the compiled experiment."""

from bal.simulators.burgers import burgers, interpolated, solve_burgers
from bal.simulators.disagreement import disagreement
from bal.simulators.errors import solution_errors
from bal.simulators.random_features import random_features
from bal.simulators.waves import wave_inputs, wave_problems

__all__ = [
    "burgers",
    "disagreement",
    "interpolated",
    "random_features",
    "solution_errors",
    "solve_burgers",
    "wave_inputs",
    "wave_problems",
]
