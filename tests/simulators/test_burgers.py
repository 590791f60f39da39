"""The solver against the solution of Cole and Hopf, its order, what it conserves; problems, and the oracle."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ive

from bal.simulators import burgers, interpolated, solve_burgers, wave_inputs, wave_problems

TAU = 2 * np.pi
PLACES = np.arange(128) / 128


def of_sine(viscosity, time, num_terms=60):
    """u of the start sin(2πs): by Cole and Hopf ``-2ν φ'/φ`` with φ a series of Bessel functions."""
    order, z = np.arange(num_terms)[:, None], 1 / (4 * np.pi * viscosity)
    weight = np.where(order == 0, 1, 2) * ive(order, z) * np.exp(-viscosity * (TAU * order) ** 2 * time)
    angle = TAU * order * PLACES
    return 2 * viscosity * (weight * TAU * order * np.sin(angle)).sum(0) / (weight * np.cos(angle)).sum(0)


def by_cole_and_hopf(problem, time, size=2048):
    """u of a problem: the heat equation for ``φ = exp(-∫u / 2ν)``, in float64 on many points."""
    points, viscosity = len(problem) - 1, np.exp(np.float64(problem[-1]))
    number = np.fft.fftfreq(size, 1 / size)
    few = np.fft.fft(problem[:-1].astype(np.float64)) * size / points
    waves = np.zeros(size, complex)
    for k in range(1, points // 2):
        waves[k], waves[-k] = few[k], few[-k]
    area = np.fft.ifft(waves / np.where(number == 0, 1, 1j * TAU * number)).real
    heat = np.fft.fft(np.exp((area.min() - area) / (2 * viscosity))) * np.exp(-viscosity * (TAU * number) ** 2 * time)
    return (-2 * viscosity * np.fft.ifft(1j * TAU * number * heat) / np.fft.ifft(heat)).real


@pytest.fixture(scope="module")
def solved():
    """Some problems, and their solutions at two times on eight points."""
    x = wave_problems(np.random.default_rng(0), 12, viscosity=(0.008, 0.3))
    solve = jax.jit(burgers(8, time=1.0, num_times=2, num_steps=200, num_points=128))
    return x, np.asarray(solve(jax.random.key(0), jnp.arange(12), jnp.asarray(x))), solve


def test_a_sine_becomes_what_cole_and_hopf_say():
    viscosity = np.array([0.3, 0.05, 0.02], np.float32)
    start = np.tile(np.sin(TAU * PLACES), (3, 1)).astype(np.float32)
    found = solve_burgers(jnp.asarray(start), jnp.asarray(viscosity), 0.4, 200)
    assert found.shape == (3, 1, 128)
    np.testing.assert_allclose(found[:, 0], [of_sine(nu, 0.4) for nu in viscosity.astype(float)], atol=1e-5)


def test_labels_are_what_cole_and_hopf_say(solved):
    x, y, _ = solved
    exact = [np.concatenate([by_cole_and_hopf(row, time)[::256] for time in (0.5, 1.0)]) for row in x]
    np.testing.assert_allclose(y, exact, atol=5e-5)
    assert np.abs(y).max() > 0.3


def test_half_the_step_leaves_a_sixteenth_of_the_error():
    with jax.enable_x64(True):
        start, viscosity = np.sin(TAU * PLACES[::4]) + 0.5 * np.cos(2 * TAU * PLACES[::4]), jnp.array([0.02])
        solve = lambda steps: np.asarray(solve_burgers(jnp.asarray(start[None]), viscosity, 0.3, steps))
        exact = solve(800)
        errors = np.array([np.abs(solve(steps) - exact).max() for steps in (25, 50, 100)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert ((orders > 3.7) & (orders < 4.4)).all(), orders


def test_a_label_hangs_on_its_row_alone_and_energy_is_lost(solved):
    x, y, solve = solved
    order = np.random.default_rng(1).permutation(12)
    again = np.asarray(solve(jax.random.key(1), jnp.zeros(12, int), jnp.asarray(x[order])))
    np.testing.assert_allclose(again, y[order], atol=1e-6)
    energy = [np.square(part).sum(1) for part in (x[:, :-1] / 2, y[:, :8], y[:, 8:])]
    assert (energy[0] > energy[1]).all()
    assert (energy[1] > energy[2]).all()


def test_interpolation_is_the_trigonometric_polynomial():
    places = lambda size: np.arange(size) / size
    of = lambda s: 0.3 + np.cos(TAU * s + 1) - 2 * np.sin(3 * TAU * s)
    found = interpolated(jnp.asarray(of(places(8))[None], jnp.float32), 20)
    np.testing.assert_allclose(found[0], of(places(20)), atol=1e-5)
    assert (interpolated(found, 20) == found).all()


def test_problems_are_waves_as_said():
    x = wave_problems(np.random.default_rng(0), 500, 32, (0.01, 0.1), 2)
    waves = np.fft.rfft(x[:, :-1]) / 16
    amplitude = np.abs(waves[:, 1:3])
    assert np.abs(np.delete(waves, [1, 2], 1)).max() < 1e-5
    assert np.abs(waves[:, 1].real).max() < 1e-5, "the first wave is a sine"
    assert amplitude.max() <= 1 + 1e-5
    np.testing.assert_allclose(amplitude.mean(0), 0.5, atol=0.05)
    np.testing.assert_allclose(np.quantile(x[:, -1], [0, 0.5, 1]), np.log([0.01, 0.1**1.5, 0.1]), atol=0.15)
    z = np.asarray(wave_inputs(2, 1.0, 2.0)(jnp.asarray(x)))
    told = [-waves[:, 1].imag, -waves[:, 2].imag, waves[:, 2].real, (x[:, -1] - 1) / 2]
    np.testing.assert_allclose(z, np.stack(told, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: burgers(num_outputs=7), "divide"),
        (lambda: burgers(num_times=3), "divide"),
        (lambda: burgers(time=-1.0), "positive time"),
        (lambda: solve_burgers(jnp.ones((1, 8)), jnp.ones(1), 1.0, 10, 3), "divide num_steps"),
        (lambda: interpolated(jnp.ones((1, 8)), 4), "at most 4 points"),
        (lambda: wave_problems(np.random.default_rng(0), 1, viscosity=(0.0, 1.0)), "positive viscosities"),
        (lambda: wave_problems(np.random.default_rng(0), 1, 4), "two points a wave"),
        (lambda: unwrap(wave_problems)(0, 3), "expected a numpy Generator, got an object of type int"),
        (lambda: unwrap(burgers())(None, None, jnp.ones(9)), r"problems \[B, G \+ 1\].*got shape \(9,\)"),
    ],
)
def test_what_cannot_be_meant_is_said(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()
