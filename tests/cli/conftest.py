"""A project without results, the commands in it, and files of measurements that another solver made."""

import logging
import os
import shutil
import sys
from pathlib import Path

import kedro.framework.project  # noqa: F401  # before its logging is told to rest
import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import xarray as xr
from click.testing import CliRunner

from hyco.cli.main import main

ROOT = Path(__file__).parents[2]
DIFFUSIVITY, VISCOSITY = 0.05, 0.07


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the experiments `base` and `heat`, in which the test then is."""
    for name in ("base", "heat"):
        shutil.copytree(ROOT / "conf" / name, tmp_path / "conf" / name)
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "src").mkdir()
    (tmp_path / "data" / "01_raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.fixture
def hyco(monkeypatch):
    """Run a command; its result."""
    # Kedro sets up the logging of the whole process.
    root, package = logging.getLogger(), logging.getLogger("hyco")
    handlers, levels = root.handlers[:], (root.level, package.level)
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "not used")
    environment = dict(os.environ)
    yield lambda *arguments: CliRunner().invoke(main, list(map(str, arguments)))
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)
    # A run in this process leaves there where its records go.
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    package.setLevel(levels[1])


def plate(times, places, size=(3.0, 2.0), diffusivity=DIFFUSIVITY):
    """Heat in an insulated plate at about 20 degrees, by its modes: `[n]` for times `[n]` and places `[n, 2]`."""
    temperature = 20.0
    for i, j, amplitude in [(1, 0, 2.0), (0, 1, 1.5), (1, 1, 1.0), (2, 1, 0.8), (3, 0, 0.7)]:
        k = np.pi * np.array([i, j]) / size
        wave = np.cos(k[0] * places[:, 0]) * np.cos(k[1] * places[:, 1])
        temperature = temperature + amplitude * np.exp(-diffusivity * (k @ k) * times) * wave
    return temperature


def sensors(count=40, states=17, seed=0):
    """A table of scattered sensors in the plate, with noise of 0.05."""
    random = np.random.default_rng(seed)
    where = random.random((count, 2)) * [3.0, 2.0]
    times, number = np.meshgrid(np.linspace(0, 4, states), np.arange(count), indexing="ij")
    places = where[number.ravel()]
    values = plate(times.ravel(), places) + 0.05 * random.standard_normal(times.size)
    columns = {"time [h]": times.ravel(), "x_m": places[:, 0], "y_m": places[:, 1], "sensor": number.ravel()}
    return pd.DataFrame(columns | {"T (degC)": values})


def burgers(shift, times, cells=64, size=6.0):
    """u_t + u u_x = ν u_xx on a period at the centres of cells, `[T, x]`, by Fourier derivatives."""
    x = (np.arange(cells) + 0.5) * size / cells
    wave = 2j * np.pi * np.fft.rfftfreq(cells, size / cells)
    wave[-1] = 0.0

    def rate(t, u):
        spectrum = np.fft.rfft(u)
        slope, bend = np.fft.irfft(wave * spectrum, cells), np.fft.irfft(wave**2 * spectrum, cells)
        return VISCOSITY * bend - u * slope

    start = 0.5 + np.sin(2 * np.pi * (x - shift) / size) + 0.3 * np.cos(4 * np.pi * x / size)
    return x, scipy.integrate.solve_ivp(rate, (0, times[-1]), start, "DOP853", times, rtol=1e-9, atol=1e-11).y.T


def flows(simulations=4, noise=0.02, missing=0.3, seed=1):
    """Trajectories as NetCDF has them, with gaps after t = 0."""
    random, times = np.random.default_rng(seed), np.linspace(0, 1, 11)
    x, _ = burgers(0.0, times)
    u = np.stack([burgers(float(shift), times)[1] for shift in range(simulations)])
    u = u + noise * random.standard_normal(u.shape)
    u[:, 1:][random.random(u[:, 1:].shape) < missing] = np.nan
    return xr.Dataset({"velocity": (("run", "time", "x"), u)}, coords={"x": x, "time": times})


@pytest.fixture(scope="session")
def made():
    """The functions of this file that make measurements."""
    return {"plate": plate, "sensors": sensors, "flows": flows, "burgers": burgers}
