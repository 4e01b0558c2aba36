"""From a file of measurements to observations."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.measurements.assembly import Placed, of_simulations
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.initial_states import from_formulas, guessed
from hyco.measurements.noise import noise_of
from hyco.measurements.places import cells_of, check_inside
from hyco.measurements.rows import Rows, rows_of
from hyco.measurements.sections import Target, mistakes
from hyco.measurements.source import load
from hyco.measurements.steps import steps_of
from hyco.measurements.suspicions import warn_of_oddities
from hyco.observations import ObservationConfig, Observations
from hyco.observations.checks import MeasurementError
from hyco.observations.config import InitialState

log = logging.getLogger(__name__)


def read(config: MeasurementsConfig, target: Target, observation: ObservationConfig) -> Observations:
    """Read a file.

    Args:
        config: the section `measurements`.
        target: what was measured.
        observation: which trajectories train, validate and test, and how the state at t = 0 is known; the latter is
            chosen by the data if it is not set.

    Raises:
        MeasurementError: something is wrong, a line for each; names the file, the column and the row.
    """
    try:
        if lines := list(mistakes(config, target, observation)):
            raise MeasurementError("\n".join(lines))
        return _read(config, target, observation)
    except MeasurementError as error:
        raise MeasurementError("\n".join(f"{config.file}: {line}" for line in str(error).splitlines())) from error


def _read(config: MeasurementsConfig, target: Target, observation: ObservationConfig) -> Observations:
    layout, simulations = target.layout, [*observation.train_sim, *observation.val_sim]
    rows = rows_of(load(Path(config.file), config), config, layout)
    _check_simulations([*simulations, *observation.test_sim], rows, config)
    tested = of_simulations(rows, observation.test_sim)
    rows = of_simulations(rows, simulations)
    for part in (rows, tested):
        if len(part.time):
            check_inside(part, config, layout)
    noise = noise_of(rows, config, layout)
    warn_of_oddities(rows, config, layout)
    placed = _placed(rows, len(simulations), config, target)
    _check_training(placed, len(observation.train_sim), config, layout)
    tests = _placed(tested, len(observation.test_sim), config, target) if observation.test_sim else None
    start = _start(placed, tests, config, target, observation)
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
    return Observations(
        values=entries.values,
        mask=entries.mask,
        initial_states=start.states,
        noise_std=noise.std,
        train=list(range(len(observation.train_sim))),
        val=list(range(len(observation.train_sim), len(simulations))),
        layout=layout,
        dt=target.dt,
        initial_state=start.known,
        positions=entries.positions,
        test_initial_states=start.test_states,
        interpolation=observation.interpolation,
        sigma_of_values=noise.entries(placed, start.whole),
    )


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
        text = "%s: %s: %d measurements of %d of %d simulations are in none of train_sim, val_sim and test_sim"
        log.warning(text, config.file, config.simulation, count, len(unused), rows.simulations)


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
            raise MeasurementError(
                f"{config.fields[channel]}: {values} value in the simulations of train_sim, at least 2 are needed"
            )


def _placed(rows: Rows, count: int, config: MeasurementsConfig, target: Target) -> Placed:
    """Measurements with their states and cells; a static problem has its values in the state after the first."""
    static = config.time is None
    step = np.ones(len(rows.time), dtype=np.int64) if static else steps_of(rows, str(config.time), target.dt)
    last = int(step.max()) if len(step) else 0
    return Placed(rows, count, step, last, cells_of(rows, target.layout), target.layout)


@dataclass(frozen=True)
class _Start:
    """States at t = 0 `[S, C, *space]`, how they are known, and those of the tests; `whole` if they were measured."""

    known: InitialState
    states: Tensor
    test_states: Tensor | None = None
    whole: Tensor | None = None


def _start(
    placed: Placed,
    tests: Placed | None,
    config: MeasurementsConfig,
    target: Target,
    observation: ObservationConfig,
) -> _Start:
    layout = target.layout
    if target.static or config.initial is not None:
        shape = (len(layout.channels), *layout.shape)
        state = torch.zeros(shape, dtype=torch.float64)
        if config.initial is not None:
            state = from_formulas(config.initial, layout)
        return _Start("exact", state.repeat(placed.count, *[1] * state.ndim))
    whole = placed.whole_start()
    test_whole = None if tests is None else tests.whole_start()
    everywhere = whole is not None and (tests is None or test_whole is not None)
    asked = observation.initial_state if "initial_state" in observation.model_fields_set else None
    if whole is not None and everywhere and asked in (None, "full"):
        return _Start("full", whole, test_whole, whole)
    if asked == "full":
        raise MeasurementError(
            "observation.initial_state: full needs one value of each channel in every cell at t = 0, which there is "
            "not: say observed, with physical.initial_state"
        )
    _check_tests(tests, observation)
    values = placed.rows.values
    mean = torch.zeros(len(layout.channels), dtype=torch.float64)  # of a channel that was never measured
    for c in np.flatnonzero(np.isfinite(values).any(axis=0)):
        mean[c] = float(np.nanmean(values[:, c]))
    states, test_states = (None if p is None else _guess(p, mean) for p in (placed, tests))
    assert states is not None
    return _Start("observed", states, test_states)


def _check_tests(tests: Placed | None, observation: ObservationConfig) -> None:
    """Whether something was measured of every test trajectory at t = 0, where its rollout begins.

    Raises:
        MeasurementError: nothing was.
    """
    begun = set() if tests is None else set(tests.rows.simulation[tests.at_start()].tolist())
    for number, simulation in enumerate(observation.test_sim):
        if number not in begun:
            raise MeasurementError(
                f"observation.test_sim: nothing of simulation {simulation} was measured at t = 0, so that no rollout "
                "can begin there; leave it out"
            )


def _guess(placed: Placed, mean: Tensor) -> Tensor:
    return guessed(placed.rows.of(placed.at_start()), placed.count, mean, placed.layout)
