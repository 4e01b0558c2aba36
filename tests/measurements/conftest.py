"""A trajectory of Burgers' equation by a solver that is not hyco's, and files of it in every format."""

from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.io
import xarray as xr

import hyco

VISCOSITY, CELLS, SIZE, DT, STEPS, NOISE = 0.07, 64, 6.0, 0.1, 10, 0.01
EQUATION = {
    "name": "burgers",
    "domain": {"x": {"size": SIZE, "resolution": CELLS}},
    "dt": DT,
    "max_speed": 2.0,
    "scheme": "spectral",
    "parameters": {"viscosity": 0.5},
}
SECTION = {"time": "t", "axes": {"x": "x"}, "fields": {"velocity x": "u"}, "std": NOISE}
TRAIN = {"train_sim": [0]}


def burgers(x, times, viscosity=VISCOSITY, shift=0.0):
    """u_t + u u_x = ν u_xx on a period, `[T, x]`, by Fourier derivatives and the method of lines."""
    wave = 2j * np.pi * np.fft.rfftfreq(len(x), SIZE / len(x))
    wave[-1] = 0.0

    def rate(t, u):
        spectrum = np.fft.rfft(u)
        slope, bend = np.fft.irfft(wave * spectrum, len(x)), np.fft.irfft(wave**2 * spectrum, len(x))
        return viscosity * bend - u * slope

    start = 0.5 + np.sin(2 * np.pi * (x - shift) / SIZE) + 0.3 * np.cos(4 * np.pi * x / SIZE)
    return scipy.integrate.solve_ivp(rate, (0, times[-1]), start, "DOP853", times, rtol=1e-10, atol=1e-12).y.T


def table(x, t, u):
    """A row for each time and place."""
    times, places = np.meshgrid(t, x, indexing="ij")
    return pd.DataFrame({"t": times.ravel(), "x": places.ravel(), "u": u.ravel()})


def _hdf5(path, x, t, u):
    with h5py.File(path, "w") as file:
        for name, values in {"t": t, "x": x, "u": np.where(np.isnan(u), -999.0, u)}.items():
            file[f"run/{name}"] = values
        file["run/u"].attrs["_FillValue"] = -999.0


def _netcdf(path, x, t, u):
    dataset = xr.Dataset({"u": (("x", "t"), u.T)}, coords={"x": x, "t": t})
    dataset.to_netcdf(path, engine="h5netcdf", encoding={"u": {"_FillValue": 9e9}})


WRITERS = {
    "csv": lambda path, x, t, u: table(x, t, u).to_csv(path, index=False, encoding="utf-8-sig"),
    "parquet": lambda path, x, t, u: table(x, t, u).to_parquet(path),
    "npz": lambda path, x, t, u: np.savez(path, t=t, x=x, u=u),
    "npy": lambda path, x, t, u: np.save(path, table(x, t, u).to_records(index=False)),
    "zarr": lambda path, x, t, u: xr.Dataset({"u": (("x", "t"), u.T)}, coords={"x": x, "t": t}).to_zarr(path),
    "mat": lambda path, x, t, u: scipy.io.savemat(path, {"t": t[:, None], "x": x[:, None], "u": u.T}),
    "h5": _hdf5,
    "nc": _netcdf,
}


@pytest.fixture(scope="session")
def tools():
    """The functions of this file."""
    return SimpleNamespace(**{k: v for k, v in globals().items() if not k.startswith("_")})


@pytest.fixture(scope="session")
def equation():
    return hyco.equation(EQUATION)


@pytest.fixture(scope="session")
def run(equation):
    """Positions, times and noisy values `[T, x]` of one trajectory, 30 % of those after t = 0 missing."""
    x, t = equation.layout.grid.centers("x"), DT * np.arange(STEPS + 1)
    random = np.random.default_rng(1)
    u = burgers(x, t) + NOISE * random.standard_normal((len(t), len(x)))
    u[1:][random.random(u[1:].shape) < 0.3] = np.nan
    return x, t, u


@pytest.fixture
def read(tmp_path, equation):
    """Write a table, and read it as measurements."""

    def function(frame, observation=TRAIN, **changes):
        path = tmp_path / "mine.csv"
        if isinstance(frame, str):
            path.write_text(frame, encoding="utf-8")
        else:
            frame.to_csv(path, index=False)
        return hyco.read_measurements(path, equation, SECTION | changes, observation)

    return function


@pytest.fixture
def refusal(read):
    """The message that a table is refused with."""

    def function(frame, observation=TRAIN, **changes):
        with pytest.raises(ValueError) as error:  # noqa: PT011  # its text is what is asked for
            read(frame, observation, **changes)
        return str(error.value)

    return function
