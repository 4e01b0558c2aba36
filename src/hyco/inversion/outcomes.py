"""What the outcome of a search calls for, in words, and its evaluations in units of the parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from hyco.inversion.config import InversionConfig
from hyco.inversion.optimisers.result import Diverged, NotConverged, OptimisationResult, Status
from hyco.parameters import ParameterSpace


def evaluations_of(result: OptimisationResult, space: ParameterSpace) -> Tensor:
    """Every evaluation of a search `[n, 1 + numbers]`: the loss, NaN if it was not finite, and the numbers."""
    rows = []
    for entry in result.history:
        point = torch.tensor(entry["x"][: len(space)], dtype=torch.float64)
        loss = math.nan if entry["value"] is None else entry["value"]
        rows.append([loss, *map(float, space.numbers(point).values())])
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), 1 + len(space.numbers(space.initial)))


def error_of(
    result: OptimisationResult, config: InversionConfig, values: Mapping[str, float], limited_by: str
) -> NotConverged | Diverged | None:
    """The error that a result calls for, if any.

    Args:
        values: best ones of the learnt numbers.
        limited_by: key that limits the iterations.
    """
    best = ", ".join(f"{name} = {value:.6g}" for name, value in values.items()) or "a field"
    if result.status is Status.DIVERGED:
        message = (
            f"physical: {result.reason} ({best}). Change physical.learnable_parameters (initial_guess, bounds), "
            "or check the data for values that are not finite."
        )
        return Diverged(message, result, dict(values))
    if result.status is not Status.CONVERGED and not config.suppress_convergence_errors:
        message = (
            f"physical: {result.reason}, after {result.evaluations} evaluations; best so far: {best} "
            f"(loss {result.value:.6g}). Raise {limited_by}, or set "
            "physical.suppress_convergence_errors=true to go on with the best parameters."
        )
        return NotConverged(message, result, dict(values))
    return None
