"""Coefficients are recovered from files whose data another solver made, or an experiment."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.io

import hyco

LEARN = [{"name": "viscosity", "initial_guess": 0.3, "bounds": [0.005, 1.0]}]
DATA = Path(os.environ.get("HYCO_MEASURED_DATA", "measured"))
RAISSI = DATA / "raissi_burgers" / "burgers_shock.mat"
SCRATCH = DATA / "scratch_assay" / "CellDensity_10.csv"
TRACER = DATA / "tracer_column" / "breakthrough.csv"


def needs(path):
    return pytest.mark.skipif(
        not path.exists(), reason=f"needs {path} under HYCO_MEASURED_DATA: public data that the project does not hold"
    )


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


@pytest.mark.parametrize("start", ["known", "unknown"])
def test_rates_are_recovered_where_one_of_two_channels_was_never_measured(start, tmp_path, caplog):
    n, diffusivity = 32, {"u": 1.5e-4, "v": 1e-4}
    equation = hyco.equation(
        {
            "name": "gray_scott",
            "domain": {"x": {"size": 1.0, "resolution": n}},
            "dt": 1.0,
            "substeps": 4,
            "parameters": {"feed": 0.03, "kill": 0.05} | {f"diffusivity_{k}": d for k, d in diffusivity.items()},
        }
    )
    x, t = equation.layout.grid.centers("x"), np.arange(21.0)
    wave = 2 * np.pi * np.fft.rfftfreq(n, 1 / n)

    def rate(_, state):
        u, v = np.split(state, 2)
        bend_u, bend_v = (np.fft.irfft(-(wave**2) * np.fft.rfft(part), n) for part in (u, v))
        growth = u * v**2
        return np.append(
            diffusivity["u"] * bend_u - growth + 0.04 * (1 - u), diffusivity["v"] * bend_v + growth - 0.1 * v
        )

    state = np.append(0.6 + 0.2 * np.cos(2 * np.pi * x), 0.3 + 0.1 * np.sin(2 * np.pi * x))
    u = scipy.integrate.solve_ivp(rate, (0, 20), state, "LSODA", t, rtol=1e-9, atol=1e-11).y.T[:, :n]
    np.savez(tmp_path / "mine.npz", t=t, x=x, u=u + 0.01 * np.random.default_rng(0).standard_normal(u.shape))
    section = {
        "time": "t",
        "axes": {"x": "x"},
        "fields": {"u": "u"},
        "std": 0.01,
    }
    if start == "known":
        section["initial"] = {"u": "0.6 + 0.2*cos(2*pi*x)", "v": "0.3 + 0.1*sin(2*pi*x)"}
    observations = hyco.read_measurements(tmp_path / "mine.npz", equation, section, {"train_sim": [0]})
    learn = [
        {"name": "feed", "initial_guess": 0.03, "bounds": [0.01, 0.1]},
        {"name": "kill", "initial_guess": 0.05, "bounds": [0.01, 0.1]},
    ]
    estimate = fitted(equation, observations, learn, epochs=100)
    told = "v 0 ± 0.28" in caplog.text
    assert told == (start == "unknown")
    for name, value in {"feed": 0.04, "kill": 0.06}.items():
        assert estimate[name].std < 0.03 * value
        assert abs(estimate[name].value - value) < 3 * estimate[name].std
        assert estimate[name].identifiable


def heat(size, cells, dt):
    return hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": size, "resolution": cells}},
            "boundary": "neumann",
            "dt": dt,
            "max_diffusivity": 1.0,
            "parameters": {"diffusivity": 0.1},
        }
    )


@needs(SCRATCH)
def test_an_experiments_table_with_a_byte_order_mark_is_read():
    section = {"time": "Time", "axes": {"x": "Position"}, "fields": {"temperature": "Dens1"}}
    observations = hyco.read_measurements(SCRATCH, heat(1900.0, 38, 12.0), section, {"train_sim": [0]})
    assert observations.values.shape == (1, 5, 1, 38)
    assert observations.mask.all()
    assert observations.values[0, 0, 0, 0] == 2.94e-4
    assert not observations.noise_known


@needs(TRACER)
def test_the_irregular_times_of_an_experiment_are_between_states(caplog):
    caplog.set_level("INFO", logger="hyco")
    section = {"axes": {"x": "x"}, "fields": {"temperature": "concentration"}, "start": 0.0}
    observations = hyco.read_measurements(TRACER, heat(40.0, 80, 0.5), section, {"train_sim": [0]})
    assert "with equation.dt: 0.01 all would be at states" in caplog.text
    # 2.52, 2.68 and 2.93 are 0.48, 0.32 and 0.07 before the sixth state.
    assert observations.offsets[0, 6][observations.mask[0, 6, 0]].tolist() == pytest.approx([-0.96, -0.64, -0.14])


@needs(RAISSI)
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
