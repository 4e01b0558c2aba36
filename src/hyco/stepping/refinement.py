"""An equation on a finer grid with shorter steps: what its own grid and step add to a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation, equation_config
from hyco.fields import Layout
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Execution, Stepper
from hyco.trained_model import Time

# Cells that a value between them is read from: sixth order, so that what is left is the equation's own error.
_NODES = 6


def refined(equation: Equation, largest: float, values: Mapping[str, Tensor]) -> Equation:
    """The equation on twice as many cells along each axis, with steps half as long or shorter.

    Its ranges are those that the values and states ask for on that grid. The time between its states is a whole part of
    the own one: half of it, or less where its steps, cut as these ranges say, would be longer than half of the own.

    Args:
        largest: what states reach, see `Equation.reach`.
        values: of the learnt parameters, numbers or fields.

    Raises:
        ValueError: it has values on walls, or cannot be on such a grid.
    """
    domain = {
        axis: {"resolution": 2 * n}
        for axis, n in zip(equation.config.grid.axes, equation.config.grid.resolution, strict=True)
    }
    parts = 2
    while True:
        finer = on_domain(equation, domain, largest, values, parts)
        excess = 2 * (finer.dt / finer.substeps) / (equation.dt / equation.substeps)
        if excess <= 1 + 1e-9:
            return finer
        parts = max(parts + 1, ceil(parts * min(excess, 2.0) * (1 - 1e-9)))


def on_domain(
    equation: Equation,
    domain: Mapping[str, Mapping[str, float]],
    largest: float,
    values: Mapping[str, Tensor],
    parts: int = 1,
) -> Equation:
    """The equation by the same scheme on another domain, with the ranges that values and states ask for there.

    Args:
        domain: keys of axes that are others.
        largest, values: see `refined`.
        parts: its states are so many times closer in time.

    Raises:
        ValueError: it has values on walls, or cannot be on such a domain.
    """
    if any(field.vertex for field in equation.layout.fields):
        raise ValueError("it has values on walls")
    config = equation.config
    section = config.model_dump() | config.chosen  # the scheme is to be the same
    section |= {key: "auto" for key in config.range_keys if key not in config.chosen}
    section["domain"] = {axis: {**keys, **domain.get(axis, {})} for axis, keys in section["domain"].items()}
    section["dt"] = config.dt / parts
    bounds = {name: (float(value.min()), float(value.max())) for name, value in values.items()}
    return build_equation({**section, **equation_config(dict(section)).ranges(largest, bounds)})


class Refinement:
    """Rollouts of the refined equation, or of one on another domain, from states of the own grid.

    Args:
        equation: the refined one.
        layout: of the states that it begins with and that are read; their grid may be another than the equation's own.
        dt: between the own states.
        execution: how a step is run.
    """

    def __init__(self, equation: Equation, layout: Layout, dt: float, execution: Execution = "traced") -> None:
        self.equation, self.layout = equation, equation.layout
        self._stepper, self._parts = Stepper(equation, execution), round(dt / equation.dt)
        self._finer, self._coarser = _Transfer(layout, equation.layout), _Transfer(equation.layout, layout)

    def rollout(
        self, starts: Tensor, parameters: Mapping[str, Tensor], read: Sequence[int], time: Time = 0.0
    ) -> Tensor:
        """States `[B, R, C, *fine]` of the refined equation from `[B, C, *space]`.

        Args:
            parameters: see `Stepper`; fields have a value in every cell of the own grid or of the fine one.
            read: numbers of the own equation's states.
            time: t of the starts.
        """
        begun = self.prolong(starts)
        shape, d = self.layout.grid.resolution, self.layout.grid.dimensions
        values = {name: v if v.ndim < d else _repeated(v, shape) for name, v in parameters.items()}
        step = self._stepper.bind(begun, values, time)
        return rollout(step, begun, self._parts * max(read, default=0), [self._parts * n for n in read])

    def prolong(self, states: Tensor) -> Tensor:
        """The values at the centres, or on the faces, of the fine cells, `[…, C, *space]` to `[…, C, *fine]`."""
        return self._finer(states)

    def restrict(self, states: Tensor) -> Tensor:
        """The values at the centres, or on the faces, of the own cells, `[…, C, *fine]` to `[…, C, *space]`."""
        return self._coarser(states)


class _Transfer:
    """States of one layout, read where another one on the same domain has its values."""

    def __init__(self, source: Layout, target: Layout) -> None:
        self._source, self._target = source, target
        self._staggered = any(field.staggered for field in source.fields)
        channels = range(len(source.channels)) if self._staggered else (0,)
        axes = list(enumerate(source.periodic))
        self._matrices = [
            [_between(_places(source, c, i), _places(target, c, i), periodic=wraps) for i, wraps in axes]
            for c in channels
        ]

    def __call__(self, states: Tensor) -> Tensor:
        """`[…, C, *space]` of the source to `[…, C, *space]` of the target."""
        if not self._staggered:
            return _along(states, self._matrices[0])
        batches = states.ndim - len(self._source.shape) - 1
        parts = [_along(states[self._source.index(c, batches)], own) for c, own in enumerate(self._matrices)]
        padded = [torch.nn.functional.pad(part, self._target.padding(c)) for c, part in enumerate(parts)]
        return torch.stack(padded, dim=batches)


def _places(layout: Layout, channel: int, i: int) -> Tensor:
    """Coordinates along axis i of the values of a channel."""
    grid = layout.grid
    name = [c if f.staggered else "" for f in layout.fields for c in f.components or ("",)][channel]
    if name != grid.axes[i]:
        return torch.from_numpy(grid.centers(grid.axes[i]))
    faces = layout.extent(channel)[i]
    return grid.lower[i] + grid.spacing[i] * torch.arange(faces.start, faces.stop, dtype=torch.float64)


def _repeated(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Values in the cells of a grid, `[…, *space]`, in all the finer cells that these are made of."""
    for i, n in enumerate(shape):
        dim = values.ndim - len(shape) + i
        values = values.repeat_interleave(n // values.shape[dim], dim=dim)
    return values


def _along(states: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    d = len(matrices)
    for i, matrix in enumerate(matrices):
        states = (states.movedim(i - d, -1) @ matrix.T.to(states)).movedim(-1, i - d)
    return states


def _between(source: Tensor, target: Tensor, *, periodic: bool) -> Tensor:
    """Weights `[m, n]` of values at n evenly spaced places in those at m other ones.

    The polynomial through the nearest; beside walls those inside alone, whatever the conditions there are.
    """
    n = len(source)
    places = (target - source[0]) / (source[1] - source[0])
    count = min(_NODES, n)
    first = (places - (count / 2 - 1)).floor().long()
    if not periodic:
        first = first.clamp(0, n - count)
    weights = torch.ones((len(places), count), dtype=torch.float64)
    for j in range(count):
        for k in range(count):
            if k != j:
                weights[:, j] *= (places - (first + k)) / (j - k)
    matrix = torch.zeros((len(places), n), dtype=torch.float64)
    cells = (first[:, None] + torch.arange(count)) % n
    return matrix.scatter_add_(1, cells, weights)
