"""Measurements of one's own, from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyco.api.sections import as_dictionary, validated
from hyco.config import ConfigurationError
from hyco.equations.equation import Equation
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.read import read
from hyco.measurements.sections import Target
from hyco.observations import ObservationConfig, Observations
from hyco.training.measured import warn_of_walls
from hyco.training.starts import with_starts


def read_measurements(
    file: str | Path,
    equation: Equation,
    measurements: Mapping[str, Any] | MeasurementsConfig,
    observation: Mapping[str, Any] | ObservationConfig,
    *,
    seed: int = 0,
) -> Observations:
    """Read measurements from a file, and check them before anything is computed.

    Measurements in the centres of cells become observations on the grid, all others, and several in one cell at one
    time, observations at points. Times between the states of the equation's `dt` are read by a cubic in time, and make
    points, too. Missing values (empty cells, NaN, fill values) were not measured.

    Args:
        file: a table (.csv, .txt, .parquet: a row for a time and place) or arrays (.nc, .zarr, .h5, .hdf5, .mat, .npz:
            values on times and positions, or lists of equal length; .npy with named columns; HDF5 also in the layouts
            of PDEBench and The Well). Pickled objects are not read.
        equation: from `hyco.equation`, on the grid that the measurements are compared on. Its `dt` should resolve how
            fast the states change; a fit warns where it does not.
        measurements: the section `measurements`, as a dictionary or its model: `time` (column or variable; default
            time; None for a static problem), `axes` and `fields` (for each axis and each measured channel the column or
            variable), `std` (of the noise, in units of the channel: a number, a column or variable that is or
            `estimate`, the default), `simulation` (what tells trajectories apart; default None: there is
            one), `scale` (factors to the units of the equation), `start` (time of t = 0; default: the earliest) and
            `initial` (formulas of the position, where the state at t = 0 is known).
        observation: the section `observation`: `train_sim`, `val_sim`, `test_sim` (indices of trajectories, in the
            order of their labels; a single one is `train_sim: [0]`), `holdout` (`{"fraction": 0.2, "by": "points"}`:
            what is kept back of the training trajectories), `interpolation` (linear or cubic, between cells) and
            `initial_state`. By default that is exact with `initial`, full where each cell was measured once at
            t = 0, else observed: `hyco.fit` then estimates those of training trajectories, see `initial_state` in
            docs/inversion.md.
        seed: of the draw of what is held out.

    Returns:
        `Observations`: `.values` and `.mask` `[S, T+1, C, …]`, of training and validation simulations in this order,
        and `.noise_std` `[C]`, which is 0 for `estimate`: the residuals then tell the noise. `.initial_states` of
        validation and test trajectories are estimates from what was measured of them at t = 0, where that has noise
        whose size is known or told (docs/measurements.md); those of training trajectories are as measured, but within
        the bounds of their fields. `.values` are as measured.

    Raises:
        ConfigurationError: a key is wrong; the message has one line per problem, with what is allowed.
        ValueError: the file cannot be meant: the message names the file, the column, the row and what to do.

    Example:
        >>> import hyco, numpy, pathlib, tempfile
        >>> heat = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1,
        ...                       "max_diffusivity": 0.1, "parameters": {"diffusivity": 0.1}})
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "mine.npz"
        >>> T = [[20.1, 22.0], [20.4, 21.8], [20.6, numpy.nan]]  # NaN: not measured
        >>> numpy.savez(file, t=[0.0, 0.1, 0.2], x=[0.2, 0.7], T=T)
        >>> section = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}, "std": 0.1}
        >>> observations = hyco.read_measurements(file, heat, section, {"train_sim": [0]})
        >>> observations.values.shape, int(observations.mask.sum()), observations.initial_state
        (torch.Size([1, 3, 1, 2]), 5, 'observed')
    """
    section = as_dictionary(measurements, "measurements")
    if section.get("file", str(file)) != str(file):
        raise ConfigurationError(f"measurements.file: {section['file']!r} is not the file {str(file)!r}; leave it out")
    config = validated(MeasurementsConfig, section | {"file": str(file)}, "measurements")
    target = Target(equation.layout, equation.dt, equation.config.is_static)
    seen = read(config, target, validated(ObservationConfig, observation, "observation"), seed)
    warn_of_walls(equation.layout, 0.0, seen.steps * seen.dt)
    return with_starts(seen, equation)
