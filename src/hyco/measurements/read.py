"""From a file of measurements to observations."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from hyco.fields import Layout
from hyco.measurements.assembly import Placed, of_simulations
from hyco.measurements.config import MEASURED, MeasurementsConfig
from hyco.measurements.initial_states import from_formulas, guessed
from hyco.measurements.noise import noise_of
from hyco.measurements.places import cells_of, check_inside, without_walls
from hyco.measurements.rows import Rows, rows_of
from hyco.measurements.sections import Target, check_sections
from hyco.measurements.source import load
from hyco.measurements.steps import steps_of, tell_of_times_between
from hyco.measurements.suspicions import warn_of_boundary, warn_of_contradictions, warn_of_oddities
from hyco.observations import ObservationConfig, Observations, hold_out
from hyco.observations.checks import MeasurementError
from hyco.observations.config import InitialState

log = logging.getLogger(__name__)


def read(config: MeasurementsConfig, target: Target, observation: ObservationConfig, seed: int = 0) -> Observations:
    """Read a file.

    Args:
        config: the section `measurements`.
        target: what was measured.
        observation: which trajectories train, validate and test, how the state at t = 0 is known (chosen by the data if
            it is not set), and what is held out.
        seed: of the run, for what is held out at random.

    Raises:
        MeasurementError: see `observations_of`.
    """
    with naming(config):
        check_sections(config, target, observation)
        # What the file holds is not kept: it may be large.
        rows = _rows(load(Path(config.file), config, needed_of(observation)), config, target.layout)
        return _observations(rows, config, target, observation, seed)


def needed_of(observation: ObservationConfig) -> list[int]:
    """The trajectories that train, validate and test."""
    return [*observation.train_sim, *observation.val_sim, *observation.test_sim]


def observations_of(
    dataset: xr.Dataset, config: MeasurementsConfig, target: Target, observation: ObservationConfig, seed: int = 0
) -> Observations:
    """Observations from what a file holds.

    Args:
        dataset: the columns or variables that the section names, from `hyco.measurements.source.load`; else see `read`.

    Raises:
        MeasurementError: something is wrong, a line for each; names the file, the column and the row.
    """
    with naming(config):
        check_sections(config, target, observation)
        rows = _rows(dataset, config, target.layout)
        del dataset
        return _observations(rows, config, target, observation, seed)


@contextmanager
def naming(config: MeasurementsConfig) -> Iterator[None]:
    """Put the name of the file before each line of a refusal."""
    try:
        yield
    except MeasurementError as error:
        raise MeasurementError("\n".join(f"{config.file}: {line}" for line in str(error).splitlines())) from error


def _rows(dataset: xr.Dataset, config: MeasurementsConfig, layout: Layout) -> Rows:
    warn_of_boundary(dataset, config, layout)
    return rows_of(dataset, config, layout)


def _observations(
    rows: Rows, config: MeasurementsConfig, target: Target, observation: ObservationConfig, seed: int
) -> Observations:
    layout, simulations = target.layout, needed_of(observation)
    _check_simulations(simulations, rows, config)
    rows = of_simulations(rows, simulations)
    check_inside(rows, config, layout)
    rows = without_walls(rows, config.file, layout)
    noise = noise_of(rows, config, layout)
    warn_of_oddities(rows, config, layout)
    warn_of_contradictions(rows, noise, config, layout)
    placed = _placed(rows, len(simulations), config, target)
    _check_training(placed, len(observation.train_sim), config, layout)
    tell_of_times_between(config.file, rows, placed.offset, target.dt, placed.last)
    start = _start(placed, config, target, observation)
    entries = placed.entries(start.whole)
    log.info(
        "%s: %d values of %d simulation(s) up to step %d, %s; the state at t = 0: %s",
        config.file,
        int(entries.mask.sum()),
        placed.count,
        placed.last,
        "on the grid" if entries.positions is None else f"at points, read by {observation.interpolation} interpolation",
        start.known,
    )
    parts = (observation.train_sim, observation.val_sim, observation.test_sim)
    ends = list(itertools.accumulate(map(len, parts), initial=0))
    train, val, test = (list(range(first, last)) for first, last in itertools.pairwise(ends))
    measured = Observations(
        values=entries.values,
        mask=entries.mask,
        initial_states=start.states,
        noise_std=noise.std,
        train=train,
        val=val,
        test=test,
        layout=layout,
        dt=target.dt,
        initial_state=start.known,
        positions=entries.positions,
        test_initial_states=None if start.known == "exact" or not test else start.states[test],
        interpolation=observation.interpolation,
        offsets=entries.offsets,
        sigma_of_values=noise.entries(placed, start.whole),
        from_file=True,
    )
    if observation.holdout is not None:
        measured = hold_out(measured, observation.holdout, seed)
    return measured if start.known != "observed" else _with_guessed_starts(measured, placed)


def _with_guessed_starts(measured: Observations, placed: Placed) -> Observations:
    """The same, with a guess of the states at t = 0 where something was measured of them.

    Where nothing was, it is the mean of what the models train on: neither tests nor what is held out.
    """
    mean, _ = measured.statistics()
    states = guessed(placed.rows.of(placed.at_start()), placed.count, mean, placed.layout)
    # They are its own here; a copy with others would check and copy all that was measured again.
    measured.initial_states = states
    measured.test_initial_states = states[measured.test] if measured.test else None
    return measured


def _check_simulations(asked: list[int], rows: Rows, config: MeasurementsConfig) -> None:
    """Whether the trajectories that are asked for are there, and something was measured of each; warns of the others.

    Raises:
        MeasurementError: one is not.
    """
    if max(asked) >= rows.simulations:
        few = (
            f"the file has {rows.simulations}, counted from 0"
            if config.simulation
            else "measurements.simulation is null"
        )
        raise MeasurementError(f"observation asks for simulation {max(asked)}, but {few}")
    for simulation in asked:
        if not (rows.simulation == simulation).any():
            raise MeasurementError(f"observation asks for simulation {simulation}, of which nothing was measured")
    unused = sorted(set(range(rows.simulations)) - set(asked))
    if unused:
        count = int(np.isin(rows.simulation, unused).sum())
        what = f"{count} measurements of " if count else ""  # a layout may leave them out
        text = "%s: %s: %s%d of %d simulations are in none of train_sim, val_sim and test_sim"
        log.warning(text, config.file, config.simulation, what, len(unused), rows.simulations)


def _check_training(placed: Placed, count: int, config: MeasurementsConfig, layout: Layout) -> None:
    """Whether there is something to train on in the first trajectories.

    Raises:
        MeasurementError: there is not.
    """
    training = placed.rows.simulation < count
    if not (placed.step[training] > 0).any():
        raise MeasurementError("nothing was measured after t = 0 in the simulations of train_sim")
    for c, channel in enumerate(layout.channels):
        values = int(np.isfinite(placed.rows.values[training, c]).sum())
        if channel in config.fields and values < 2:
            names = ", ".join(config.columns_of(channel))
            raise MeasurementError(f"{names}: {values} value in the simulations of train_sim, at least 2 are needed")


def _placed(rows: Rows, count: int, config: MeasurementsConfig, target: Target) -> Placed:
    """Measurements with their states and cells; a static problem has its values in the state after the first."""
    step, offset = np.ones(len(rows.time), dtype=np.int64), np.zeros(len(rows.time))
    if config.time is not None:
        step, offset = steps_of(rows, config.time, target.dt)
    last = int(step.max()) if len(step) else 0
    return Placed(rows, count, step, offset, last, cells_of(rows, target.layout), target.layout)


@dataclass(frozen=True)
class _Start:
    """States at t = 0 `[S, C, *space]`, and how they are known; `whole` if they were measured."""

    known: InitialState
    states: Tensor
    whole: Tensor | None = None


def _start(placed: Placed, config: MeasurementsConfig, target: Target, observation: ObservationConfig) -> _Start:
    layout = target.layout
    if target.static or config.initial is not None:
        shape = (len(layout.channels), *layout.shape)
        state = torch.zeros(shape, dtype=torch.float64)
        if config.initial == MEASURED:
            return _Start("exact", placed.mean_start())
        if isinstance(config.initial, dict):
            state = from_formulas(config.initial, layout)
        return _Start("exact", state.repeat(placed.count, *[1] * state.ndim))
    whole = placed.whole_start()
    asked = observation.initial_state if "initial_state" in observation.model_fields_set else None
    if whole is not None and asked in (None, "full"):
        return _Start("full", whole, whole)
    if asked == "full":
        raise MeasurementError(
            "observation.initial_state: full needs one value of each channel in every cell at t = 0, which there is "
            "not: say observed, with physical.initial_state"
        )
    _check_tests(placed, observation)
    nothing = torch.zeros((placed.count, len(layout.channels), *layout.shape), dtype=torch.float64)
    return _Start("observed", nothing)  # a guess comes when it is known what is trained on


def _check_tests(placed: Placed, observation: ObservationConfig) -> None:
    """Whether something was measured of every test trajectory at t = 0, where its rollout begins.

    Raises:
        MeasurementError: nothing was.
    """
    begun = set(placed.rows.simulation[placed.at_start()].tolist())
    first = placed.count - len(observation.test_sim)
    for number, simulation in enumerate(observation.test_sim, first):
        if number not in begun:
            raise MeasurementError(
                f"observation.test_sim: nothing of simulation {simulation} was measured at t = 0, so that no rollout "
                "can begin there; leave it out"
            )
