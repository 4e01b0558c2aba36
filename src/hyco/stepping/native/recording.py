"""A recorded step as a graph for one sample, and that of its adjoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from hyco.stepping.graph import Program
from hyco.stepping.recorder import Recording, record
from hyco.stepping.rewrites.transforms import without_changes_in_place


@dataclass(frozen=True)
class Recorded:
    """A step for one sample.

    Attributes:
        step: graph from the state, the time if there is one, and the inputs to the next state.
        adjoint: graph from the slope by the next state and from these to the slopes by the state and by the inputs; of
            an input that has no effect, or whose slope nobody asks for, None.
        batch: by input, which dimension counts the samples; None where all of them share it.
        timed: whether there is a time.
    """

    step: Recording
    adjoint: Recording | None
    batch: tuple[int | None, ...]
    timed: bool

    @property
    def given(self) -> list[Tensor]:
        """What the state and the inputs of one sample look like."""
        tensors = [node.meta["val"] for node in self.step.graph.nodes if node.op == "placeholder"]
        return [tensors[0], *tensors[1 + self.timed :]]


def record_single(program: Program, adjoint: Sequence[bool] | None = None) -> Recorded:
    """Record the step of a program again, for one sample.

    Args:
        adjoint: by input, whether its slope is asked for; None: no adjoint is.

    Raises:
        TracingError: it cannot be recorded.
    """
    given = [node for node in program.graph.nodes if node.op == "placeholder"]
    size, shapes = program.recorded_size, [tuple(node.meta["recorded"].shape) for node in given]
    timed = len(given) > 1 and given[1].name == "time"
    values = [
        torch.empty([1 if n == size else n for n in shape], dtype=node.meta["recorded"].dtype, device="meta")
        for node, shape in zip(given, shapes, strict=True)
    ]
    slope = torch.empty_like(values[0])
    pure = without_changes_in_place(program.graph)

    def step(*values: Tensor) -> Any:
        return program.step(*values)

    def slopes(slope: Tensor, *values: Tensor) -> Any:
        with torch.enable_grad():
            own = [value.detach().requires_grad_() for value in values]
            asked = [True, *(adjoint or ())]
            sought = list(compress([own[0], *own[1 + timed :]], asked))
            found = iter(torch.autograd.grad(pure(*own), sought, slope, allow_unused=True))
            return [next(found) if is_asked else None for is_asked in asked]

    return Recorded(
        record(step, values),
        None if adjoint is None else record(slopes, [slope, *values]),
        tuple(shape.index(size) if size in shape else None for shape in shapes[1 + timed :]),
        timed,
    )


def record_preparation(program: Program, values: Sequence[Tensor], batched: Sequence[bool]) -> Recorded:
    """Record what a program works out from the parameters, for one sample, as a step whose state has no effect.

    Args:
        values: of the parameters.
        batched: which of them have a leading dimension of samples.
    """
    own = [
        torch.empty([1, *v.shape[1:]] if b else v.shape, dtype=v.dtype, device="meta")
        for v, b in zip(values, batched, strict=True)
    ]
    state = torch.empty(1, dtype=own[0].dtype, device="meta")

    def once(_: Tensor, *values: Tensor) -> Any:
        return list(program.prepare(1, *values))

    return Recorded(record(once, [state, *own]), None, tuple(0 if b else None for b in batched), False)
