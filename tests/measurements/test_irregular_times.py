"""Coefficients from measurements at irregular times and places, against exact solutions of the heat equation."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import hyco

D, SIGMA, COUNT = 0.1, 0.01, 300
ROD = ((1, 1.0), (2, -0.7), (3, 0.4))  # numbers of half waves, and amplitudes
PLATE = ((1, 1, 1.0), (2, 1, -0.7), (1, 2, 0.5))
LEARN = [{"name": "diffusivity", "initial_guess": 0.2, "bounds": [0.01, 0.25]}]


def rod(x, t):
    """Walls of 0 at x = 0 and 1."""
    return sum(a * np.exp(-D * (k * np.pi) ** 2 * t) * np.sin(k * np.pi * x) for k, a in ROD)


def plate(x, y, t):
    """Walls of 0, on 1 by 2."""
    rates = [(a, k, m, (k**2 + (m / 2) ** 2) * np.pi**2) for k, m, a in PLATE]
    return sum(a * np.exp(-D * rate * t) * np.sin(k * np.pi * x) * np.sin(m * np.pi * y / 2) for a, k, m, rate in rates)


def heat(domain, dt):
    """With a step that does not depend on dt, so that only the reading of the states does."""
    return hyco.equation(
        {
            "name": "heat",
            "domain": domain,
            "boundary": 0.0,
            "dt": dt,
            "substeps": max(1, round(200 * dt)),
            "form": "nondivergence",
            "order": 4,
            "max_diffusivity": 0.25,
            "parameters": {"diffusivity": 0.2},
        }
    )


def table(solution, axes, seed):
    """Times that are 200ths of the whole, and places anywhere."""
    random = np.random.default_rng(seed)
    columns = {axis: size * random.random(COUNT) for axis, size in axes.items()}
    columns["t"] = np.sort(random.integers(1, 201, COUNT)) / 200
    exact = solution(**columns)
    return pd.DataFrame({**columns, "T": exact + SIGMA * random.standard_normal(COUNT)})


def section(axes, waves):
    sines = " + ".join(f"({a})*" + "*".join(waves(*numbers)) for *numbers, a in (ROD if len(axes) == 1 else PLATE))
    return {
        "time": "t",
        "axes": {axis: axis for axis in axes},
        "fields": {"temperature": "T"},
        "std": SIGMA,
        "start": 0.0,
        "initial": {"temperature": sines},
    }


LINE = section({"x": 1.0}, lambda k: (f"sin({k}*pi*x)",))
OBSERVATION = {"train_sim": [0], "interpolation": "cubic"}


def error_of_reading(observations, equation, solution):
    """Largest difference between the exact solution and its states as they are read, in standard deviations."""
    grid = equation.layout.grid
    axes = np.meshgrid(*(grid.centers(axis) for axis in grid.axes), indexing="ij")
    states = np.stack([solution(*axes, n * observations.dt) for n in range(observations.steps + 1)])
    read = observations.operator([0], 0, observations.steps)(torch.from_numpy(states)[None, :, None])
    steps = torch.arange(observations.steps + 1)[None, :, None] + observations.offsets
    exact = solution(*observations.positions.numpy().transpose(3, 0, 1, 2), observations.dt * steps.numpy())
    return float((read[:, :, 0] - torch.from_numpy(exact))[observations.mask[:, :, 0]].abs().max()) / SIGMA


def fitted(equation, observations):
    return hyco.fit(equation, observations, LEARN, method="Levenberg-Marquardt").estimate["diffusivity"]


def test_states_are_read_between_to_a_tenth_of_the_noise_and_the_estimate_is_that_of_a_dt_that_fits(tmp_path):
    table(rod, {"x": 1.0}, 0).to_csv(tmp_path / "mine.csv", index=False)
    domain = {"x": {"size": 1.0, "resolution": 32}}
    estimates = []
    for dt in (0.05, 0.005):
        equation = heat(domain, dt)
        observations = hyco.read_measurements(tmp_path / "mine.csv", equation, LINE, OBSERVATION)
        if dt == 0.005:
            assert observations.offsets is None
        else:
            assert error_of_reading(observations, equation, rod) < 0.1
        estimates.append(fitted(equation, observations))
    between, at_states = estimates
    assert abs(between.value - D) < 2 * between.std
    assert between.std < 0.01 * D
    assert abs(between.value - at_states.value) < 0.02 * at_states.std
    assert between.std == pytest.approx(at_states.std, rel=0.01)


@pytest.mark.study
def test_estimates_scatter_as_their_error_bars_say(tmp_path):
    equation, pulls = heat({"x": {"size": 1.0, "resolution": 32}}, 0.04), []
    for seed in range(10):
        table(rod, {"x": 1.0}, seed).to_csv(tmp_path / "mine.csv", index=False)
        estimate = fitted(equation, hyco.read_measurements(tmp_path / "mine.csv", equation, LINE, OBSERVATION))
        pulls.append((estimate.value - D) / estimate.std)
    assert max(map(abs, pulls)) < 3.5
    assert abs(np.mean(pulls)) < 3 / math.sqrt(10)
    assert 0.4 < np.std(pulls) < 1.7


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_plate_with_sensors_anywhere_at_any_time(tmp_path, seed):
    table(plate, {"x": 1.0, "y": 2.0}, seed).to_csv(tmp_path / "mine.csv", index=False)
    equation = heat({"x": {"size": 1.0, "resolution": 24}, "y": {"size": 2.0, "resolution": 32}}, 0.04)
    names = section({"x": 1.0, "y": 2.0}, lambda k, m: (f"sin({k}*pi*x)", f"sin({m}*pi*y/2)"))
    observations = hyco.read_measurements(tmp_path / "mine.csv", equation, names, OBSERVATION)
    assert error_of_reading(observations, equation, plate) < 0.1
    estimate = fitted(equation, observations)
    assert abs(estimate.value - D) < 2 * estimate.std
    assert estimate.std < 0.02 * D
