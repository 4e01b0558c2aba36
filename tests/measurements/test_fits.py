"""Coefficients are recovered from files whose data another solver made, or an experiment."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

import hyco

LEARN = [{"name": "viscosity", "initial_guess": 0.3, "bounds": [0.005, 1.0]}]
DATA = Path(__file__).parents[3] / "shared" / "data"
RAISSI = DATA / "raissi_burgers" / "burgers_shock.mat"


def fitted(equation, observations, learn=LEARN, **options):
    return hyco.fit(equation, observations, learn, method="Levenberg-Marquardt", **options).estimate


@pytest.mark.parametrize("std", [0.01, "estimate"])
def test_viscosity_is_recovered_from_a_file_with_gaps(std, tools, run, equation, tmp_path):
    tools.WRITERS["nc"](tmp_path / "mine.nc", *run)
    observations = hyco.read_measurements(tmp_path / "mine.nc", equation, tools.SECTION | {"std": std}, tools.TRAIN)
    viscosity = fitted(equation, observations)["viscosity"]
    assert viscosity.identifiable
    assert abs(viscosity.value - tools.VISCOSITY) < 3 * viscosity.std
    assert viscosity.std < 0.05 * tools.VISCOSITY


def test_viscosity_is_recovered_from_a_table_of_points_and_replicates(tools, run, equation, read):
    random = np.random.default_rng(2)
    fine = np.sort(random.random(300)) * tools.SIZE
    t = run[1]
    u = tools.burgers(np.linspace(0, tools.SIZE, 256, endpoint=False), t)
    exact = np.stack([np.interp(fine, np.linspace(0, tools.SIZE, 257), np.append(row, row[0])) for row in u])
    frame = tools.table(fine, t, exact + tools.NOISE * random.standard_normal(exact.shape))
    known = {"velocity x": "0.5 + sin(2*pi*x/6) + 0.3*cos(4*pi*x/6)"}
    sample = frame.sample(600, random_state=0)
    observations = read(sample, {"train_sim": [0], "interpolation": "cubic"}, initial=known)
    viscosity = fitted(equation, observations)["viscosity"]
    assert abs(viscosity.value - tools.VISCOSITY) < 3 * viscosity.std
    assert viscosity.std < 0.05 * tools.VISCOSITY


@pytest.mark.skipif(not RAISSI.exists(), reason=f"needs {RAISSI}, which is not part of the project")
def test_both_coefficients_of_the_published_burgers_data_are_recovered(tmp_path):
    cells = 510
    equation = hyco.equation(
        {
            "name": "burgers",
            # The ends of the data, x = -1 and x = 1, are the centre of the same cell.
            "domain": {"x": {"size": 2.0, "resolution": cells, "lower": -1.0 - 1.0 / cells}},
            "dt": 0.01,
            "max_speed": 1.05,
            "max_convection": 1.5,
            "scheme": "spectral",
            "parameters": {"viscosity": 0.1, "convection": 1.0},
        }
    )
    section = {
        "time": "t",
        "axes": {"x": "x"},
        "fields": {"velocity x": "usol"},
        "initial": {"velocity x": "-sin(pi*x)"},
    }
    whole = hyco.read_measurements(RAISSI, equation, section, {"train_sim": [0]})
    assert int(whole.mask.sum()) == 25600
    assert whole.steps == 99
    data = scipy.io.loadmat(RAISSI)
    u, x, t = data["usol"].T, data["x"].ravel(), data["t"].ravel()
    random = np.random.default_rng(0)
    rows = random.choice(u.size, 2000, replace=False)
    sigma = 0.01 * u.std()
    noisy = u.ravel()[rows] + sigma * random.standard_normal(2000)
    places = {"t": t[rows // 256], "x": x[rows % 256], "usol": noisy}
    scipy.io.savemat(tmp_path / "points.mat", places)
    observations = hyco.read_measurements(
        tmp_path / "points.mat", equation, section | {"std": float(sigma)}, {"train_sim": [0]}
    )
    learn = [
        {"name": "convection", "initial_guess": 0.5, "bounds": [0.1, 1.5], "transform": "none"},
        {"name": "viscosity", "initial_guess": 0.02, "bounds": [1e-3, 0.2]},
    ]
    estimate = fitted(equation, observations, learn, horizons=[30], abs_tol=1e-6)
    assert estimate["convection"].value == pytest.approx(1.0, rel=2e-3)
    assert estimate["viscosity"].value == pytest.approx(0.01 / np.pi, rel=2e-2)
