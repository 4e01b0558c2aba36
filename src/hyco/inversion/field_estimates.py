"""From coordinates to fields with maps of their standard deviation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyco.inversion.assessment import Assessment
from hyco.inversion.estimate import FieldEstimate
from hyco.inversion.number_estimates import UNKNOWN
from hyco.parameters import ParameterSpace
from hyco.parameters.grid_field import GridField
from hyco.runtime.forward import jacobian

# A weak direction counts against a field that has more than this share of it.
_SHARE = 0.1


@torch.no_grad()
def field_estimates(
    space: ParameterSpace, theta: Tensor, assessment: Assessment | None, shift: Tensor | None = None
) -> dict[str, FieldEstimate]:
    """Each parameter that varies in space, with a map of its standard deviation to first order.

    It is identifiable only if the data determine every direction of it.

    Args:
        theta: the parameters' coordinates, `[p]`.
        shift: what the error of the grid has moved them by, `[p]`; None: not worked out.
    """
    without = None if shift is None else space.to_values((theta - shift).clamp(space.lower, space.upper))
    estimates = {}
    values = space.to_values(theta)
    for parameter in space.learnable:
        if not parameter.is_field:
            continue
        part = space.slice_of(parameter.name)
        value = values[parameter.name]
        rows = [] if assessment is None else _rows(assessment.kept, part)
        if assessment is None or not rows or not assessment.uncertainty.noise_told:
            estimates[parameter.name] = FieldEstimate(value)
            continue
        jacobian = _field_jacobian(space, parameter.name, theta).reshape(value.numel(), -1)
        covariance = assessment.uncertainty.covariance[rows][:, rows]
        covariance = torch.nan_to_num(covariance, posinf=UNKNOWN**2)
        std = ((jacobian @ covariance) * jacobian).sum(dim=1).clamp_min(0).sqrt().reshape(value.shape)
        if isinstance(parameter, GridField) and parameter.bounds is not None:
            std = std.clamp_max((parameter.bounds[1] - parameter.bounds[0]) / math.sqrt(12))
        directions = assessment.identifiability.directions[:, rows].square().sum(dim=1)
        weak = assessment.identifiability.weak & (directions > _SHARE)
        pull = float(assessment.pull[rows].abs().max())
        grid = None if without is None else value - without[parameter.name]
        estimates[parameter.name] = FieldEstimate(value, std, not bool(weak.any()), pull, grid)
    return estimates


def _rows(kept: Tensor, part: slice) -> list[int]:
    """Where the coordinates of a parameter stand among those that were assessed; none where they were not."""
    rows: list[int] = ((kept >= part.start) & (kept < part.stop)).nonzero().flatten().tolist()
    return rows


def _field_jacobian(space: ParameterSpace, name: str, theta: Tensor) -> Tensor:
    """∂(field)/∂(its coordinates), `[cells, k]`."""
    part = space.slice_of(name)
    parameter = space.learnable[space.names.index(name)]
    return jacobian(lambda c: parameter.value(c, space.grid).flatten(), theta[part])
