"""Mixtures of states: new initial states that have other shapes than those seen, but not another range."""

from __future__ import annotations

import torch
from torch import Tensor

from hyco.equations.initial_states import random_smooth_states
from hyco.fields import Layout

# Standard deviation of a weight's log-odds.
_CONTRAST = 4.0


def mixtures(
    states: Tensor,
    times: Tensor,
    count: int,
    layout: Layout,
    generator: torch.Generator,
    *,
    shift: bool,
    length: float | None,
    scale: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """λ a + (1 - λ) b of random pairs of states, `[N, C, *space]` to `[count, C, *space]`, and their times `[count]`.

    A mixture stands for a time between those of a and b, as far from each as the mean of λ says.

    Args:
        times: t of the states, `[N]` float64.
        shift: move a and b along periodic axes first, see `shifted`.
        length: see `mixing_weights`.
        scale: range of a random factor on each mixture; (1, 1): none.
    """
    which = torch.randint(0, len(states), (2, count), generator=generator)
    first, second = (states[indices] for indices in which)
    if shift:
        first, second = shifted(first, layout, generator), shifted(second, layout, generator)
    weight = mixing_weights(count, layout, length, generator).to(states)
    mixed = weight * first + (1 - weight) * second
    part, (before, after) = weight.double().flatten(1).mean(dim=1), times[which]
    time = after + part * (before - after)
    lowest, highest = scale
    if lowest == highest == 1:
        return mixed, time
    factor = torch.rand(count, generator=generator, dtype=mixed.dtype)
    return (lowest + (highest - lowest) * factor).reshape(-1, *[1] * (mixed.ndim - 1)) * mixed, time


def mixing_weights(count: int, layout: Layout, length: float | None, generator: torch.Generator) -> Tensor:
    """Weights of mixtures, `[count, 1, *space]` between 0 and 1; one number each for staggered fields.

    A weight that varies in space would give a divergence to mixtures of incompressible flows.

    Args:
        length: correlation length of the weights [length]; None: a sixth of the domain's shortest side.
    """
    if layout.shape != layout.grid.resolution:
        shape = (count, *[1] * (1 + layout.grid.dimensions))
        return torch.rand(shape, generator=generator, dtype=torch.float64)
    length = length or min(layout.grid.size) / 6
    axes = zip(layout.grid.axes, layout.periodic, strict=True)
    boundary = {axis: "periodic" if wraps else "neumann" for axis, wraps in axes}
    smooth = random_smooth_states(layout.grid, 1, count, length, _CONTRAST, generator, boundary)
    return torch.sigmoid(smooth)


def shifted(states: Tensor, layout: Layout, generator: torch.Generator) -> Tensor:
    """Each state `[N, C, *space]` moved by a random number of cells along periodic axes without padding."""
    for axis, (wraps, n) in enumerate(zip(layout.periodic, layout.grid.resolution, strict=True), start=2):
        if wraps and layout.shape[axis - 2] == n:
            moves = torch.randint(0, n, (len(states),), generator=generator)
            shape = [len(states) if i == 0 else n if i == axis else 1 for i in range(states.ndim)]
            cells = ((torch.arange(n) - moves[:, None]) % n).reshape(shape)
            states = states.gather(axis, cells.expand_as(states))
    return states
