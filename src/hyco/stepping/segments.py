"""Gradients of long rollouts in little memory: segments that are computed again on the way back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hyco.stepping.bound_step import BoundStep


def rollout_in_segments(
    step: BoundStep, start: Tensor, steps: int, lengths: Sequence[int], read: Sequence[int] | None = None
) -> Tensor:
    """The same with a gradient that takes little memory: only the states at the starts of segments are kept.

    For the gradient the segments are computed again, from the last to the first. It is that of `rollout` up to the
    order of sums. There is no second derivative.

    Args:
        lengths: steps of a segment; further numbers, each smaller: of the segments that it is computed in itself.
        read: see `rollout`.
    """
    read = tuple(range(1, steps + 1) if read is None else read)
    states: Tensor = _Segments.apply(step, steps, tuple(lengths), read, start, *step.inputs)[0]  # type: ignore[no-untyped-call]
    return states


class _Segments(torch.autograd.Function):
    """States that are read `[B, R, C, *space]`, and the last one, from the initial one and the inputs of the step."""

    @staticmethod
    def forward(
        ctx: Any,
        step: BoundStep,
        steps: int,
        lengths: tuple[int, ...],
        read: tuple[int, ...],
        start: Tensor,
        *inputs: Tensor,
    ) -> tuple[Tensor, Tensor]:
        states, begun, state = [], [], start
        for first, count, inside in _segments(steps, lengths[0], read):
            begun.append(state)
            own_step = replace(step, inputs=inputs, before=step.before + first)
            states_read, state = own_step.states(state, count, [n - first for n in inside])
            states.append(states_read)
        ctx.save_for_backward(*begun, *inputs)
        ctx.plan = (step, steps, lengths, read, len(begun))
        ctx.set_materialize_grads(False)
        out = torch.cat(states, dim=1) if states else start[:, None][:, :0].clone()
        return out, state.clone() if steps == 0 else state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_read: Tensor | None, adjoint: Tensor | None) -> tuple[Tensor | None, ...]:
        step, steps, lengths, read, count = ctx.plan
        begun, inputs = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        needed = ctx.needs_input_grad[5:]
        totals: list[Tensor | None] = [None] * len(inputs)
        last = len(read)
        for (first, length, inside), start in reversed(
            list(zip(_segments(steps, lengths[0], read), begun, strict=True))
        ):
            leaf = start.detach().requires_grad_(True)
            own = tuple(v.detach().requires_grad_(need) for v, need in zip(inputs, needed, strict=True))
            own_step, numbers = replace(step, inputs=own, before=step.before + first), [n - first for n in inside]
            with torch.enable_grad():
                if len(lengths) > 1 and length > lengths[1]:
                    states, end = _Segments.apply(own_step, length, lengths[1:], tuple(numbers), leaf, *own)  # type: ignore[no-untyped-call]
                else:
                    states, end = own_step.states(leaf, length, numbers)
            outputs, slopes = [], []
            if of_read is not None and inside:
                outputs, slopes = [states], [of_read[:, last - len(inside) : last]]
            last -= len(inside)
            if adjoint is not None:
                outputs, slopes = [*outputs, end], [*slopes, adjoint]
            if not outputs:  # nothing after this segment is read
                continue
            sought = [leaf, *(v for v, need in zip(own, needed, strict=True) if need)]
            adjoint, *parts = torch.autograd.grad(outputs, sought, slopes, allow_unused=True)
            for position, part in zip([i for i, need in enumerate(needed) if need], parts, strict=True):
                before = totals[position]
                totals[position] = part if before is None else before if part is None else before + part
        return None, None, None, None, adjoint, *totals


def _segments(steps: int, length: int, read: Sequence[int]) -> list[tuple[int, int, list[int]]]:
    """For each segment the steps before it, its own steps, and the numbers of the states read in it."""
    segments, position = [], 0
    for first in range(0, steps, length):
        count, begin = min(length, steps - first), position
        while position < len(read) and read[position] <= first + count:
            position += 1
        segments.append((first, count, list(read[begin:position])))
    return segments


# Steps of a segment beside which its own overhead does not count.
_LONG_ENOUGH = 16


def segment_lengths(steps: int, state: int, tape: int, budget: float) -> tuple[int, ...]:
    """How to compute a gradient within a memory: the `lengths` of `rollout_in_segments`, () for no segments.

    With segments of L steps the states at their starts take steps/L · `state`, the segment in work L · `tape`: least
    with L = √(steps · state/tape). Where that is too much, the segments are themselves computed in segments.

    Args:
        state, tape, budget: bytes of a state, of what one step leaves for its gradient, and of what both may take.
    """
    if steps * tape <= budget or steps < 2:
        return ()
    length = min(steps, max(1, round(math.sqrt(steps * state / tape))))
    if length * tape + steps / length * state <= budget or length < 3:
        # Longer ones, where they fit, are fewer: each costs some time of its own.
        while length < _LONG_ENOUGH and 2 * length * tape + steps / (2 * length) * state <= budget:
            length *= 2
        return (length,)
    part = (steps * state * state * tape) ** (1 / 3)  # each of three parts of the memory, when their sum is least
    inner = max(1, round(part / tape))
    return (min(steps, max(inner + 1, round(inner * part / state))), inner)


def tape_bytes(step: BoundStep, start: Tensor) -> int:
    """Memory that one step leaves for the gradient, measured on the second of two."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    step = replace(step, inputs=tuple(v.detach().requires_grad_(v.requires_grad) for v in step.inputs))
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        state = step(start.detach().requires_grad_(True))
        first = sum(storages.values())
        _end = step(state, 1)
    return sum(storages.values()) - first
