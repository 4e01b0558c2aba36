"""Equations by formula on data that others published: a scratch assay, a tracer column, a heated rod."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hyco

DATA = Path(os.environ.get("HYCO_MEASURED_DATA", "measured"))
ASSAY = DATA / "scratch_assay"
TRACER = DATA / "tracer_column" / "breakthrough.csv"
NEEDED = "under HYCO_MEASURED_DATA: public data that the project does not hold"
needs_assay = pytest.mark.skipif(not ASSAY.exists(), reason=f"needs scratch_assay {NEEDED}")
needs_tracer = pytest.mark.skipif(not TRACER.exists(), reason=f"needs tracer_column {NEEDED}")

# By thousands of cells: D, λ and their std by an independent solver with least squares, the first frame taken for the
# truth; then with 37 unknown numbers for the first frame.
FISHER = {
    10: ((327, 53, 0.0437, 0.0008), (4, 19, 0.0521, 0.0011)),
    12: ((270, 29, 0.0434, 0.0008), (158, 27, 0.0501, 0.0011)),
    14: ((757, 50, 0.0476, 0.0010), (876, 89, 0.0542, 0.0013)),
    16: ((597, 40, 0.0486, 0.0010), (785, 103, 0.0565, 0.0017)),
    18: ((793, 47, 0.0535, 0.0014), (1059, 114, 0.0624, 0.0020)),
    20: ((1064, 75, 0.0637, 0.0019), (1508, 99, 0.0749, 0.0020)),
}
# By depth: v and D with the analytical solution.
BREAKTHROUGH = {11: (2.438, 0.153), 17: (2.506, 0.126), 23: (2.502, 0.110)}


def fisher():
    return hyco.equation(
        {
            "name": "formula",
            "domain": {"x": {"lower": 50.0, "size": 1850.0, "resolution": 37}},
            "boundary": "neumann",
            "dt": 2.4,
            "fields": {"u": {"lower": 0.0}},
            "rates": {"u": "D*laplace(u) + r*u*(1 - u/K)"},
            "parameters": {"D": 300.0, "r": 0.05, "K": 1.7e-3},
        }
    )


def assay(cells, equation, start):
    section = {
        "time": "Time",
        "axes": {"x": "Position"},
        "fields": {"u": ["Dens1", "Dens2", "Dens3"]},
        "std": "replicates",
        "keep": {"Position": [50.0, None]},
        "initial": start,
    }
    return hyco.read_measurements(ASSAY / f"CellDensity_{cells}.csv", equation, section, {"train_sim": [0]})


@needs_assay
@pytest.mark.slow
@pytest.mark.parametrize("cells", FISHER)
def test_spread_and_growth_of_cells_are_those_of_an_independent_solver(cells):
    equation, learn = fisher(), [
        {"name": "D", "initial_guess": 300.0, "bounds": [1.0, 5000.0]},
        {"name": "r", "initial_guess": 0.05, "bounds": [1e-3, 0.3]},
    ]  # fmt: skip
    known, unknown = FISHER[cells]
    taken = hyco.fit(equation, assay(cells, equation, "measured"), learn, method="Levenberg-Marquardt").estimate
    for name, value, std in (("D", *known[:2]), ("r", *known[2:])):
        assert abs(taken[name].value - value) < std
    prior = {"length_scale": 25.0, "amplitude": "auto", "mean": "auto"}
    free = assay(cells, equation, None)
    estimated = hyco.fit(equation, free, learn, method="Levenberg-Marquardt", initial_state=prior).estimate
    for name, value, std in (("D", *unknown[:2]), ("r", *unknown[2:])):
        assert abs(estimated[name].value - value) < 2 * np.hypot(std, estimated[name].std)
    # The published way of starting is far from what the data say of the growth.
    # The residuals are correlated, so that its own standard deviation is wider than that of white noise.
    white = taken["r"].std_white or taken["r"].std
    assert estimated["r"].value - taken["r"].value > 4 * white
    assert estimated.reduced_chi_square < taken.reduced_chi_square


def column(name, keep=None, std=0.01):
    """v and D of the tracer column by an equation of a name, from the depths within `keep`."""
    names = {"formula": ("c", "v", "D"), "advection_diffusion": ("concentration", "velocity_x", "diffusivity")}
    c, v, d = names[name]
    own = {"rates": {c: "-v*dx(c) + D*laplace(c)"}} if name == "formula" else {}
    equation = hyco.equation(
        {
            "name": name,
            "domain": {"x": {"size": 30.0, "resolution": 150}},
            "boundary": {"x": {"lower": 1.0, "upper": "neumann"}},
            "dt": 0.1,
            "parameters": {v: 2.5, d: 0.15},
            **own,
        }
    )
    section = {
        "axes": {"x": "x"},
        "fields": {c: "concentration"},
        "start": 0.0,
        "std": std,
        "initial": {c: 0.0},
        "keep": {} if keep is None else {"x": keep},
    }
    observations = hyco.read_measurements(TRACER, equation, section, {"train_sim": [0], "interpolation": "cubic"})
    learn = [
        {"name": v, "initial_guess": 2.0, "bounds": [1.0, 4.0]},
        {"name": d, "initial_guess": 0.3, "bounds": [0.01, 1.0]},
    ]
    estimate = hyco.fit(equation, observations, learn, method="Levenberg-Marquardt").estimate
    return estimate, estimate[v], estimate[d]


@needs_tracer
@pytest.mark.slow
@pytest.mark.parametrize("name", ["formula", "advection_diffusion"])
@pytest.mark.parametrize("depth", BREAKTHROUGH)
def test_each_depth_of_the_column_gives_the_analytical_speed_and_dispersion(depth, name):
    estimate, v, d = column(name, [depth, depth])
    speed, dispersion = BREAKTHROUGH[depth]
    assert v.value == pytest.approx(speed, rel=5e-3)
    assert d.value == pytest.approx(dispersion, rel=0.05)
    assert estimate.reduced_chi_square < 1.5


@needs_tracer
@pytest.mark.slow
def test_one_speed_for_all_depths_is_told_not_to_fit(caplog):
    estimate, v, _ = column("formula")
    assert estimate.reduced_chi_square > 3
    assert "do not trust its error bars" in caplog.text
    assert v.value == pytest.approx(2.49, rel=0.01)


ROD = "C*laplace(u) + exp(-t)*(-sin(pi*x) + pi**2*sin(pi*x))"


def heated_rod(tmp_path, noise, seed=0):
    """C of u_t = C u_xx + f(x, t) from ten places at t = 1; u = exp(-t) sin(πx) for C = 1."""
    equation = hyco.equation(
        {
            "name": "formula",
            "domain": {"x": {"lower": -1.0, "size": 2.0, "resolution": 32}},
            "boundary": 0.0,
            "dt": 0.05,
            "rates": {"u": ROD},
            "parameters": {"C": 2.0},
        }
    )
    x = np.linspace(-1, 1, 10)
    u = np.exp(-1) * (np.sin(np.pi * x) + noise * np.random.default_rng(seed).standard_normal(10))
    pd.DataFrame({"t": 1.0, "x": x, "u": u}).to_csv(tmp_path / "rod.csv", index=False)
    section = {
        "time": "t",
        "axes": {"x": "x"},
        "fields": {"u": "u"},
        "start": 0.0,
        "std": noise * np.exp(-1) if noise else "estimate",
        "initial": {"u": "sin(pi*x)"},
    }
    observations = hyco.read_measurements(
        tmp_path / "rod.csv", equation, section, {"train_sim": [0], "interpolation": "cubic"}
    )
    learn = [{"name": "C", "initial_guess": 2.0, "bounds": [0.1, 10.0]}]
    return hyco.fit(equation, observations, learn, method="Levenberg-Marquardt").estimate["C"]


@pytest.mark.slow
def test_the_conductivity_of_a_rod_that_is_heated_in_time_is_recovered(tmp_path):
    assert heated_rod(tmp_path, 0.0).value == pytest.approx(1.0, rel=1e-3)
    low, high = heated_rod(tmp_path, 0.01, seed=1).interval
    assert low < 1 < high
    assert high - low < 0.03


@pytest.mark.study
def test_intervals_of_the_rods_conductivity_hold_it_as_often_as_they_say(tmp_path):
    intervals = [heated_rod(tmp_path, 0.01, seed).interval for seed in range(20)]
    assert sum(low < 1 < high for low, high in intervals) >= 17
