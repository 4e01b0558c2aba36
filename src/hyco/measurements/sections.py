"""Whether the sections `measurements` and `observation` fit to each other and to what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hyco.fields import Layout
from hyco.measurements.config import MEASURED, MeasurementsConfig
from hyco.measurements.source import suggestion
from hyco.observations import ObservationConfig
from hyco.observations.checks import MeasurementError

# Keys of `observation` that say how simulations are measured.
_OF_SIMULATIONS = {
    "noise": "measurements.std says it",
    "noise_reference": "measurements.std says it",
    "space": "the file says where",
    "time": "the file says when",
    "window_start": "the truth is not known",
}


@dataclass(frozen=True)
class Target:
    """What measurements are of.

    Attributes:
        layout: of the states.
        dt: between two states.
        static: whether the problem has no time.
    """

    layout: Layout
    dt: float
    static: bool = False


def check_sections(config: MeasurementsConfig, target: Target, observation: ObservationConfig) -> None:
    """Whether the sections fit to each other, before the file is opened.

    Raises:
        MeasurementError: they do not, a line for each problem.
    """
    if lines := list(mistakes(config, target, observation)):
        raise MeasurementError("\n".join(lines))


def mistakes(config: MeasurementsConfig, target: Target, observation: ObservationConfig) -> Iterator[str]:
    """What is wrong with the sections, before the file is opened: a line for each problem."""
    axes, channels = target.layout.grid.axes, target.layout.channels
    for axis in config.axes:
        if axis not in axes:
            yield f"axes: the domain has no axis {axis!r}; it has {suggestion(axis, axes)}"
    for axis in axes:
        if axis not in config.axes:
            yield f"axes: {axis} is missing; name the column or variable of its coordinates"
    named = {
        "fields": list(config.fields),
        "initial": [] if config.initial in (None, MEASURED) else list(config.initial),
    }
    if isinstance(config.std, dict):
        named["std"] = list(config.std)
    for key, names in named.items():
        for channel in names:
            if channel not in channels:
                yield f"{key}: the equation has no channel {channel!r}; it has {suggestion(channel, channels)}"
    scalable = ("time", *axes, *channels)
    for name in config.scale:
        if name not in scalable:
            yield f"scale: {name!r} is no time, axis or channel; allowed: {suggestion(name, scalable)}"
    if target.static != (config.time is None):
        yield (
            "time: the problem is static: set it to null (None)" if target.static else "time: name what holds the times"
        )
    if target.static:
        of_time = {"start": config.start, "initial": config.initial, "scale.time": config.scale.get("time")}
        for key in (key for key, value in of_time.items() if value is not None):
            yield f"{key}: a static problem has neither time nor a state at t = 0; leave it out"
    for key, reason in _OF_SIMULATIONS.items():
        if key in observation.model_fields_set:
            yield f"observation.{key} is for simulations: {reason}; leave it out"
    if "initial_state" in observation.model_fields_set and not target.static:
        exact = observation.initial_state == "exact"
        if exact and config.initial is None:
            yield "observation.initial_state: exact needs measurements.initial: formulas of that state, or measured"
        if not exact and config.initial is not None:
            yield f"observation.initial_state is {observation.initial_state}, but measurements.initial says the state"
