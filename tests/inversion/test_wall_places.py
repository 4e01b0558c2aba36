"""Walls that are elsewhere, at the outermost nodes or beyond sensors: the report says what that does."""

from dataclasses import replace

import numpy as np
import pytest

import hyco
from hyco.report.misfit import walls_words

DIFFUSIVITY = 0.02


def fit(folder, nodes, seed, wave=np.sin, count=41, noise=0.01):
    """The estimate where positions are taken for centres, and the words on the walls."""
    random, times = np.random.default_rng(seed), np.linspace(0, 2, 11)
    x = np.linspace(0, 1, count) if nodes else (np.arange(count) + 0.5) / count
    waves = [(random.normal() / (1 + i / 2), (i + 1) * np.pi) for i in range(4)]
    decay = [np.exp(-DIFFUSIVITY * k**2 * times)[:, None] for _, k in waves]
    values = sum(a * d * wave(k * x) for (a, k), d in zip(waves, decay, strict=True))
    values = values + noise * values.std() * random.normal(size=values.shape)
    table = np.stack([*(part.ravel() for part in np.meshgrid(times, x, indexing="ij")), values.ravel()], axis=1)
    np.savetxt(folder / "rod.csv", table, delimiter=",", header="t,x,T", comments="")
    h = x[1] - x[0]
    domain = {"x": {"lower": float(x[0] - h / 2), "size": float(count * h), "resolution": count}}
    boundary = 0.0 if wave is np.sin else "neumann"
    keys = {"domain": domain, "boundary": boundary, "dt": 0.1, "parameters": {"diffusivity": 0.05}}
    equation = hyco.equation({"name": "heat", **keys})
    section = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}, "std": "estimate"}
    seen = hyco.read_measurements(
        str(folder / "rod.csv"), equation, section, {"train_sim": [0], "initial_state": "full"}
    )
    learn = [{"name": "diffusivity", "initial_guess": 0.01, "bounds": [1e-4, 0.5]}]
    estimate = hyco.fit(equation, seen, learn, method="Levenberg-Marquardt").estimate
    number = estimate["diffusivity"]
    return estimate, number, list(walls_words(estimate, {"diffusivity": number.to_json()}))


@pytest.mark.parametrize("wave", [np.sin, np.cos], ids=["cold", "insulated"])
def test_nodes_on_walls_that_are_taken_for_centres_are_told_with_the_estimate_there(tmp_path, wave):
    estimate, number, (words,) = fit(tmp_path, True, 2, wave)
    assert (number.value - DIFFUSIVITY) / number.std > 2
    assert "fit better if the walls are at the outermost positions" in words
    assert "lower 0, size 1." in words
    other = estimate.walls["numbers"]["diffusivity"]
    assert abs(other - DIFFUSIVITY) < 0.2 * abs(number.value - DIFFUSIVITY)
    assert type(estimate).from_json(estimate.to_json()).walls == estimate.walls


@pytest.mark.parametrize("wave", [np.sin, np.cos], ids=["cold", "insulated"])
def test_centres_of_cells_are_not_told(tmp_path, wave):
    estimate, _, words = fit(tmp_path, False, 2, wave)
    assert estimate.walls["chi_square"] > 1000
    assert words == []


def test_where_the_measurements_do_not_tell_the_places_the_doubt_is_said(tmp_path):
    estimate, number, (words,) = fit(tmp_path, False, 0, count=201, noise=0.3)
    assert abs(estimate.walls["chi_square"]) < 10
    assert "do not tell whether the walls are half a cell beyond" in words
    assert f"diffusivity would be {estimate.walls['numbers']['diffusivity']:.4g}" in words
    assert number.interval[0] < DIFFUSIVITY < number.interval[1]


def fit_to_sensors(folder, upper, seed=1, *, series=False):
    """The same of an insulated rod from 0 to 1 with sensors from 0.1 to 0.8, on a domain from 0 to an upper end."""
    random, times = np.random.default_rng(seed), np.linspace(0, 2, 11)
    x = np.sort(random.uniform(0.1, 0.8, 12))
    waves = [(random.normal() / (1 + i / 2), (i + 1) * np.pi) for i in range(4)]
    decay = [np.exp(-DIFFUSIVITY * k**2 * times)[:, None] for _, k in waves]
    values = sum(a * d * np.cos(k * x) for (a, k), d in zip(waves, decay, strict=True))
    values = values + 0.01 * values.std() * random.normal(size=values.shape)
    table = np.stack([*(part.ravel() for part in np.meshgrid(times, x, indexing="ij")), values.ravel()], axis=1)
    np.savetxt(folder / "sensors.csv", table, delimiter=",", header="t,x,T", comments="")
    at_zero = sum(a * d[:, 0] for (a, _), d in zip(waves, decay, strict=True))
    table = {"table": {"times": times.tolist(), "values": at_zero.tolist()}}
    boundary = {"x": {"lower": table, "upper": "neumann"}} if series else "neumann"
    keys = {"boundary": boundary, "dt": 0.1, "parameters": {"diffusivity": 0.05}}
    equation = hyco.equation({"name": "heat", "domain": {"x": {"size": upper, "resolution": 32}}, **keys})
    section = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}, "std": "estimate"}
    seen = hyco.read_measurements(
        str(folder / "sensors.csv"), equation, section, {"train_sim": [0], "initial_state": "observed"}
    )
    learn = [{"name": "diffusivity", "initial_guess": 0.01, "bounds": [1e-4, 0.5]}]
    start = {"length_scale": 0.2, "amplitude": 1.0}
    estimate = hyco.fit(equation, seen, learn, method="Levenberg-Marquardt", initial_state=start).estimate
    number = estimate["diffusivity"]
    return estimate, number, list(walls_words(estimate, {"diffusivity": number.to_json()}))


def test_walls_too_close_beyond_sensors_are_told_with_the_estimate_where_they_are(tmp_path):
    estimate, number, (words,) = fit_to_sensors(tmp_path, 0.85)
    assert "fit better if the walls are elsewhere" in words
    assert "equation.domain.x: lower" in words
    assert estimate.walls["cells"] > 2
    assert abs(number.value - DIFFUSIVITY) > 3 * number.std_white
    found, other = estimate.walls["domain"]["x"], estimate.walls["numbers"]["diffusivity"]
    assert 0.9 < found["lower"] + found["size"] < 1.15
    assert abs(other - DIFFUSIVITY) < 0.4 * abs(number.value - DIFFUSIVITY)
    assert type(estimate).from_json(estimate.to_json()).walls == estimate.walls
    near = replace(estimate, walls=estimate.walls | {"cells": 0.4})  # what an error of the grid may be taken for
    assert list(walls_words(near, {"diffusivity": number.to_json()})) == []


def test_walls_beyond_sensors_that_are_right_are_not_told(tmp_path):
    estimate, _, words = fit_to_sensors(tmp_path, 1.0)
    assert estimate.walls["cells"] < 2
    assert words == []
    assert estimate.walls["domain"]["x"]["size"] == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_a_wall_with_a_measured_series_is_where_it_was_said_to_be(tmp_path):
    estimate, _, _ = fit_to_sensors(tmp_path, 1.0, series=True)
    found = estimate.walls["domain"]["x"]
    assert found["lower"] == 0.0
    assert found["size"] != 1.0
