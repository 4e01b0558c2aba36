"""Learnt fields: their errors, and all of them on the grid of the data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.inversion.estimate import PhysicalEstimate
from hyco.stepping.coarse import cell_means, repeated


def field_error(equation: Equation, name: str, estimate: Tensor) -> float | None:
    """Relative L2 error of a learnt field; None where the truth is not known.

    A field of which only differences count is compared without its mean. Where the truth is zero it is the root mean
    square of the estimate, as for a number.
    """
    if name not in equation.parameters:
        return None
    true = torch.as_tensor(equation.parameters[name], dtype=torch.float64)
    # A field on a coarser grid is compared with the means over its cells.
    true = cell_means(true, tuple(estimate.shape)) if true.ndim else true.expand(estimate.shape)
    largest = true.abs().max()
    if name in equation.up_to_a_constant:
        true, estimate = true - true.mean(), estimate - estimate.mean()
    difference, size = (estimate - true).norm(), true.norm()
    if float(size) <= 1e-12 * float(largest) * true.numel() ** 0.5:
        return float(difference / true.numel() ** 0.5)
    return float(difference / size)


def parameter_fields(
    equation: Equation, estimates: Mapping[str, PhysicalEstimate], *, measured: bool = False
) -> dict[str, Tensor]:
    """The learnt fields of all physical models: `method/name/estimate`, `…/std`, and `truth/name`.

    Where the error of the grid was worked out also the ends of the 95 % intervals, `…/lower` and `…/upper`. All on the
    grid of the data: values of a coarser grid are repeated in the cells that lie in theirs.

    Args:
        estimates: by method.
        measured: the data were measured, so that the truth is not known.
    """
    shape = equation.layout.grid.resolution
    fields: dict[str, Tensor] = {}
    for method, estimate in estimates.items():
        for name, field in estimate.fields.items():
            fields[f"{method}/{name}/estimate"] = repeated(field.value, shape)
            if field.std is not None:
                fields[f"{method}/{name}/std"] = repeated(field.std, shape)
            if field.interval is not None and field.discretisation is not None:
                for end, values in zip(("lower", "upper"), field.interval, strict=True):
                    fields[f"{method}/{name}/{end}"] = repeated(values, shape)
            if name in equation.parameters and not measured:
                true = torch.as_tensor(equation.parameters[name], dtype=torch.float64)
                fields[f"truth/{name}"] = true.expand(fields[f"{method}/{name}/estimate"].shape).clone()
    return fields
