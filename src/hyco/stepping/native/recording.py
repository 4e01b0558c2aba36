"""A recorded step as a graph for one sample, and that of its adjoint."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode

from hyco.stepping.graph import Program, record


@dataclass(frozen=True)
class Recorded:
    """A step for one sample.

    Attributes:
        step: graph from the state, the time if there is one, and the inputs to the next state.
        adjoint: graph from these and the slope by the next state to the slopes by the state and by the inputs; of an
            input that has no effect None.
        inputs: shapes of the inputs, with a batch dimension of 1 where each sample has its own.
        batch: where they have it, None where all samples share them.
    """

    step: fx.GraphModule
    adjoint: fx.GraphModule | None
    inputs: tuple[tuple[int, ...], ...]
    batch: tuple[int | None, ...]
    timed: bool


def record_single(program: Program, adjoint: bool = False) -> Recorded:
    """Record the step of a program again, for one sample.

    Raises:
        TracingError: it cannot be recorded.
    """
    given = [node for node in program.graph.nodes if node.op == "placeholder"]
    size = program.recorded_size
    shapes = [tuple(node.meta["val"].shape) for node in given]
    timed = len(given) > 1 and given[1].name == "time"
    with FakeTensorMode(allow_non_fake_inputs=True):
        values = [
            torch.empty([1 if n == size else n for n in shape], dtype=node.meta["val"].dtype)
            for node, shape in zip(given, shapes, strict=True)
        ]
        slope = torch.empty_like(values[0])

    def step(*values: Tensor) -> Tensor:
        return program.step(*values)

    def slopes(slope: Tensor, *values: Tensor) -> list[Tensor | None]:
        with torch.enable_grad():
            own = [value.detach().requires_grad_() for value in values]
            sought = [own[0], *own[1 + timed :]]
            return list(torch.autograd.grad(program.step(*own), sought, slope, allow_unused=True))

    others = slice(1 + timed, None)
    return Recorded(
        record(step, values),
        record(slopes, [slope, *values]) if adjoint else None,
        tuple(tuple(value.shape) for value in values[others]),
        tuple(shape.index(size) if size in shape else None for shape in shapes[others]),
        timed,
    )
