"""The error in time of steps, measured on states that are known."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import torch
from phi import math
from phi.math import batch
from torch import Tensor

from hyco.equations.formula.advance import Advance
from hyco.fields import Layout, precision, to_fields, to_tensor

# Numbers of a state times the samples that are looked at, samples by states, and steps of the most exact rollout.
_NUMBERS, _CORNERS, _STEPS = 400_000, 8, 12


def fewest_steps(
    advance: Advance,
    layout: Layout,
    states: Tensor,
    parameters: Mapping[str, Tensor],
    dt: float,
    steps: tuple[int, int],
    tolerance: float,
) -> int:
    """The fewest steps in `dt` with an error in time of at most `tolerance`.

    The error is the difference to the most steps that may be taken, extrapolated to none by the fourth order, by root
    mean squares over the cells; relative to the largest of the deviation from the mean at the start and at the end and
    the change, for each field; the largest of all fields, states and values of the parameters. Where `dt` has many
    steps, a part of it is looked at.

    Args:
        advance: a step of fourth order of any length.
        layout: of the states.
        states: `[S, C, *space]`.
        parameters: values that are looked at together, `[N]` each; some of them, where the states are large.
        steps: how many are stable, and how many are enough without a look.
    """
    fewest, most = steps
    if fewest >= most or states[0].numel() > _NUMBERS:
        return most
    parts = ceil(most / _STEPS)
    low, high = ceil(fewest / parts), ceil(most / parts)
    samples = max(1, _NUMBERS // states[0].numel())
    states = states[:samples].double().cpu()
    values = dict(parameters)
    if values:
        rows = torch.unique(torch.stack(list(values.values()), dim=1)[:_CORNERS], dim=0)
        values = dict(zip(values, rows[: max(1, samples // len(states))].unbind(dim=1), strict=True))
    run = _Rollouts(advance, layout, states, values, dt / parts)
    exact = run(high)
    for count in range(low, high):
        # What both differ by is all of the error but that of the other.
        error = parts * run.difference(run(count), exact) / (1 - (count / high) ** 4)
        if error <= tolerance:
            return count * parts
    return most


class _Rollouts:
    """The states after a time in so many steps, for each state with each of the parameters' values."""

    def __init__(
        self, advance: Advance, layout: Layout, states: Tensor, parameters: Mapping[str, Tensor], time: float
    ) -> None:
        self._advance, self._layout, self._time = advance, layout, time
        count = max((len(v) for v in parameters.values()), default=1)
        self._start = states.repeat(count, *[1] * (states.ndim - 1))
        self._parameters = {
            name: math.wrap(v.double().repeat_interleave(len(states)), batch("batch")) for name, v in parameters.items()
        }

    @torch.no_grad()
    def __call__(self, steps: int) -> Tensor:
        with precision(64):
            fields = to_fields(self._start, self._layout)
            values: dict[str, Any] = {name: field.values for name, field in fields.items()}
            step = self._advance.of_length(self._time / steps)
            for number in range(steps):
                values = step(values, self._parameters, math.wrap(number * self._time / steps))
            return to_tensor({name: fields[name].with_values(v) for name, v in values.items()}, self._layout)

    def difference(self, one: Tensor, other: Tensor) -> float:
        """The largest relative difference; infinite where a state is not finite."""
        space = tuple(range(2, one.ndim))

        def size(values: Tensor) -> Tensor:
            return values.square().mean(dim=space).sqrt()

        sizes = [size(v - v.mean(dim=space, keepdim=True)) for v in (self._start, other)] + [size(other - self._start)]
        scale = torch.stack(sizes).amax(dim=0)
        relative = torch.where(scale > 0, size(one - other) / scale, 0.0)
        return float(torch.where(relative.isfinite(), relative, torch.inf).max())
