"""What the trainings of an experiment see of its file of measurements."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hyco.equations.registry import build_equation
from hyco.fields import Layout
from hyco.inversion.data_range import require_range
from hyco.measurements.config import MeasurementsConfig
from hyco.observations import ObservationConfig
from hyco.runtime.storage import Bundle
from hyco.training.starts import with_starts
from hyco.walls.table import Table

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)


def measured_observations(
    measured: xr.Dataset | Bundle,
    equation: dict[str, Any],
    measurements: dict[str, Any],
    observation: dict[str, Any],
    seed: int,
) -> Bundle:
    """Observations of a file of measurements; those that were made already are returned as they are.

    Args:
        measured: what the file holds, or the observations of it.
        equation, measurements, observation, seed: of the configuration, completed and valid.

    Raises:
        MeasurementError: something is wrong with the file: a line for each.
    """
    if isinstance(measured, Bundle):
        return measured
    # What reads files takes half a second to import, which experiments that simulate do not need.
    from hyco.measurements.read import observations_of
    from hyco.measurements.sections import Target
    from hyco.measurements.source import units

    built = build_equation(equation)
    target = Target(built.layout, built.dt, built.config.is_static)
    config, section = MeasurementsConfig.model_validate(measurements), ObservationConfig.model_validate(observation)
    seen = observations_of(measured, config, target, section, seed)
    require_range(built, seen)
    warn_of_walls(built.layout, 0.0, seen.steps * seen.dt)
    bundle = with_starts(seen, built).to_bundle()
    origin = {"measurements": measurements, "observation": observation, "units": units(measured, config)}
    return replace(bundle, metadata={**bundle.metadata, "origin": origin})


def warn_of_walls(layout: Layout, since: float, until: float) -> None:
    """Warn of walls whose series of values begin after the first or end before the last time that is computed."""
    for field in layout.fields:
        for axis in layout.grid.axes:
            for side, wall in zip(("lower", "upper"), field.walls[axis], strict=True):
                words = wall.held_beyond(since, until) if isinstance(wall, Table) else None
                if words is not None:
                    log.warning(
                        "The %s wall of %s (%s) has a series of values that does not last from t = %g to %g: %s, "
                        "whatever the field does.",
                        side,
                        axis,
                        field.name,
                        since,
                        until,
                        words,
                    )
