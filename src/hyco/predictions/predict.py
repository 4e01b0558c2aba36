"""Rollouts of trained models as one dataset, with coordinates and error bars."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from hyco.evaluation.models import EvaluatedModel
from hyco.fields import Layout
from hyco.inversion.estimated_model import EstimatedModel
from hyco.inversion.posterior import Posterior
from hyco.predictions.files import PredictionError
from hyco.predictions.places import axes_of
from hyco.predictions.spread import standard_deviation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A trained model, and what its inversion has left for error bars.

    Attributes:
        model: what predicts.
        posterior: of a physical model, its draws; None of a network, or where there are none.
        estimated: whether the initial states of the training simulations were unknown.
    """

    model: EvaluatedModel
    posterior: Posterior | None = None
    estimated: bool = False


@dataclass(frozen=True)
class Start:
    """Where predictions begin.

    Attributes:
        states: for each method, `[B, C, *space]`.
        skip: states of each rollout that are no predictions, because there were data.
        simulations: a number for each state.
        source: in words, where they come from.
        at_zero: whether they are the training simulations' states at t = 0, which may have been estimated.
        time: t of the states.
    """

    states: Mapping[str, Tensor]
    skip: int = 0
    simulations: list[int] = field(default_factory=list)
    source: str = "given states"
    at_zero: bool = False
    time: float = 0.0


def predict(
    trained: Mapping[str, Trained],
    layout: Layout,
    start: Start,
    steps: int,
    *,
    dt: float | None,
    samples: int = 50,
    static: bool = False,
) -> xr.Dataset:
    """What each model predicts, as variables `METHOD.CHANNEL` with the dimensions simulation, time and axes.

    Of physical models there is `METHOD.CHANNEL_std` too, where the parameters have a covariance. Time goes on from
    that of the states that predictions begin with, which are not among them. A static problem has no time.

    Args:
        trained: by method.
        layout: of the states.
        start: where they begin.
        steps: states to predict.
        dt: time between them; None: they are numbered.
        samples: draws for a standard deviation.
        static: whether the problem has no time.

    Raises:
        PredictionError: no model predicts from such states, or a prediction is not finite.
    """
    able = {method: t for method, t in trained.items() if start.at_zero or t.model.stepping}
    if not able:
        raise PredictionError(
            f"{', '.join(trained) or 'no model'}: it knows one trajectory, and predicts from no other state: leave "
            "predict.initial_states out"
        )
    for method in trained.keys() - able.keys():
        log.info("%s knows one trajectory: it predicts nothing from other states.", method)
    if static:
        start, steps = Start(start.states, 0, start.simulations, start.source, start.at_zero), 1
    variables: dict[str, Any] = {}
    for method, one in able.items():
        states = start.states[method]
        rolled = one.model.rollout(states, start.skip + steps, start.time)[:, start.skip :]
        if not bool(rolled.isfinite().all()):
            raise PredictionError(f"{method}: its predictions are not finite: begin with other states, or fewer steps")
        std, of = None, ""
        if one.posterior is not None and isinstance(one.model.model, EstimatedModel):
            of = _meaning(one, start)
            std = standard_deviation(
                one.model.model,
                one.posterior,
                states,
                rolled,
                time=start.time,
                skip=start.skip,
                samples=samples,
                from_draws=start.at_zero,
            )
            if std is None:
                log.info("%s: its parameters have no covariance, and its predictions no error bars.", method)
        variables |= _variables(method, rolled, std, of, layout, static=static)
    coordinates = _coordinates(layout, start, steps, dt, static=static)
    dataset = xr.Dataset(variables, coordinates, _attributes(able, start, dt, static=static))
    for name in dataset.coords:
        dataset[name].encoding["_FillValue"] = None  # a coordinate is never missing
    return dataset


def _meaning(one: Trained, start: Start) -> str:
    """What a standard deviation is of, in words."""
    if not start.at_zero:
        return "parameters alone; the given states count as exact"
    if one.posterior is not None and one.posterior.initial_draws is not None:
        return "parameters and estimated initial states, together"
    return "parameters alone; " + ("the initial states were not drawn" if one.estimated else "initial states are known")


def _variables(
    method: str, mean: Tensor, std: Tensor | None, of: str, layout: Layout, *, static: bool
) -> dict[str, Any]:
    """The variables of one method."""
    variables: dict[str, Any] = {}
    for c, channel in enumerate(layout.channels):
        name, part = f"{method}.{channel}", layout.index(c, 2)
        dims = ["simulation", *([] if static else ["time"]), *(axis for axis, _ in axes_of(layout, c))]
        attributes = {"long_name": f"{channel} predicted by {method}"}
        if std is not None:
            attributes["ancillary_variables"] = f"{name}_std"
            values = std[part][:, 0] if static else std[part]
            long_name = f"standard deviation of {channel} predicted by {method}"
            variables[f"{name}_std"] = (dims, values.numpy(), {"long_name": long_name, "uncertainty_of": of})
        values = mean[part][:, 0] if static else mean[part]
        variables[name] = (dims, values.numpy(), attributes)
    return dict(sorted(variables.items(), key=lambda item: item[0].endswith("_std")))


def _coordinates(layout: Layout, start: Start, steps: int, dt: float | None, *, static: bool) -> dict[str, Any]:
    coordinates: dict[str, Any] = {"simulation": ("simulation", start.simulations, {"long_name": "simulation"})}
    if not static:
        numbers = torch.arange(start.skip + 1, start.skip + steps + 1, dtype=torch.float64)
        text = "time since the initial state" if start.at_zero else "time since the given state"
        if dt is None:
            text = text.replace("time", "steps")
        else:
            numbers = start.time + dt * numbers
            text = "time" if start.time else text
        coordinates["time"] = ("time", numbers.numpy(), {"axis": "T", "long_name": text})
    for c in range(len(layout.channels)):
        for (name, places), axis in zip(axes_of(layout, c), layout.grid.axes, strict=True):
            what = "faces" if name != axis else "centres"
            attributes = {"axis": axis.upper(), "long_name": f"{axis} of the {what} of cells"}
            coordinates[name] = (name, places, attributes)
    return coordinates


def with_units(dataset: xr.Dataset, units: Mapping[str, str]) -> xr.Dataset:
    """The same predictions with units of time, axes and channels, by their names, as far as they are known."""
    named = dataset.copy()
    for name, variable in named.variables.items():
        of = str(name).split(".", 1)[-1].removesuffix("_std").removesuffix("_face")
        if of in units:
            variable.attrs["units"] = units[of]
    return named


def _attributes(trained: Mapping[str, Trained], start: Start, dt: float | None, *, static: bool) -> dict[str, Any]:
    estimates = {
        method: {name: {"value": n.value, "std": n.std} for name, n in one.model.estimate.numbers.items()}
        for method, one in trained.items()
        if one.model.estimate is not None
    }
    attributes: dict[str, Any] = {
        "Conventions": "CF-1.11",
        "title": "predictions of trained models",
        "methods": " ".join(trained),
        "begins_with": start.source,
        "estimates": json.dumps(estimates),
    }
    return attributes if static or dt is None else attributes | {"dt": dt}
