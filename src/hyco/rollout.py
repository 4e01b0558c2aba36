"""Rollouts: repeated prediction from one initial state, which is not in the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from phi import math as phimath
from phi.math import batch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hyco.fields import Layout
from hyco.physics.coarse import Transfer
from hyco.physics.equation import Equation
from hyco.physics.stepper import BoundStep, Path, Stepper


class Model(Protocol):
    """What training and evaluation ask of either model: what do you predict from these initial states?"""

    def predict(self, starts: Tensor, steps: int) -> Tensor:
        """`[B, C, *space]` to `[B, steps, C, *space]`, without gradient."""


def rollout(step: Callable[[Tensor], Tensor], start: Tensor, steps: int, read: Sequence[int] | None = None) -> Tensor:
    """Apply `step` again and again: `[B, C, *space]` to `[B, steps, C, *space]`.

    Args:
        read: numbers of the states to return, rising, 1 being the first after `start`; None: all of them.
    """
    states, _ = _states(step, start, steps, read if read is not None else range(1, steps + 1))
    return torch.stack(states, dim=1) if states else start[:, None][:, :0]


def _states(
    step: Callable[[Tensor], Tensor], state: Tensor, steps: int, read: Sequence[int]
) -> tuple[list[Tensor], Tensor]:
    """The states that are read, and the last one."""
    wanted, states = set(read), []
    for number in range(1, steps + 1):
        state = step(state)
        if number in wanted:
            states.append(state)
    return states, state


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
    found: Tensor = _Segments.apply(step, steps, tuple(lengths), read, start, *step.inputs)[0]  # type: ignore[no-untyped-call]
    return found


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
            found, state = _states(lambda s: step(s, inputs), state, count, [n - first for n in inside])
            states.extend(found)
        ctx.save_for_backward(*begun, *inputs)
        ctx.plan = (step, steps, lengths, read, len(begun))
        ctx.set_materialize_grads(False)
        out = torch.stack(states, dim=1) if states else start[:, None][:, :0].clone()
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
            numbers = [n - first for n in inside]
            with torch.enable_grad():
                if len(lengths) > 1 and length > lengths[1]:
                    found, end = _Segments.apply(step, length, lengths[1:], tuple(numbers), leaf, *own)  # type: ignore[no-untyped-call]
                    states = list(found.unbind(1))
                else:
                    states, end = _states(partial(_with, step, own), leaf, length, numbers)
            slopes = [] if of_read is None else list(of_read[:, last - len(inside) : last].unbind(1))
            last -= len(inside)
            outputs = states if of_read is not None else []
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


def _with(step: BoundStep, inputs: Sequence[Tensor], state: Tensor) -> Tensor:
    return step(state, inputs)


def _segments(steps: int, length: int, read: Sequence[int]) -> list[tuple[int, int, list[int]]]:
    """For each segment the steps before it, its own steps, and the numbers of the states read in it."""
    found, position = [], 0
    for first in range(0, steps, length):
        count, begin = min(length, steps - first), position
        while position < len(read) and read[position] <= first + count:
            position += 1
        found.append((first, count, list(read[begin:position])))
    return found


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

    inputs = tuple(v.detach().requires_grad_(v.requires_grad) for v in step.inputs)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        state = step(start.detach().requires_grad_(True), inputs)
        first = sum(storages.values())
        _end = step(state, inputs)
    return sum(storages.values()) - first


def physical_rollout(
    equation: Equation, fields: Mapping[str, Any], parameters: Mapping[str, Any], num_predict_steps: int
) -> dict[str, Any]:
    """Roll an equation out on PhiFlow Fields, every step kept.

    Args:
        fields: the initial state, Fields by name (`{"velocity": …}` for Burgers).
        parameters: floats or PhiML tensors by name.

    Returns:
        Fields by name with a dimension `batch("time")` of `num_predict_steps` states after the initial one.
    """
    state = dict(fields)
    states: dict[str, list[Any]] = {name: [] for name in state}
    for _ in range(num_predict_steps):
        for _ in range(equation.substeps):
            state = equation.step(state, parameters)
        for name, field in state.items():
            states[name].append(field)
    return {name: phimath.stack(steps, batch("time")) for name, steps in states.items()}


class PhysicalModel:
    """Rollouts of an equation from states of the data's grid to states of it, whatever grid the equation has.

    On a coarser grid the initial state is the means over the cells, and the interpolation of each state is what is
    returned, see `hyco.physics.coarse`; nothing of the initial state but its means has an effect.

    Args:
        equation: that of the physical model, on its own grid.
        layout: of the data's states.
        path, work: how a step is run, and how many are to be expected, see `Stepper`.
    """

    def __init__(self, equation: Equation, layout: Layout, path: Path = "auto", work: int = 0) -> None:
        self.equation = equation
        self.stepper = Stepper(equation, path, work)
        coarser = equation.layout.grid != layout.grid
        self.transfer = Transfer(layout, equation.layout) if coarser else None
        self._tapes: dict[Any, int] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> PhysicalModel:
        return self  # copies of a network share the physics that they correct

    def take(self, path: Path) -> None:
        """Run the steps on another path from now on, for all who have this model."""
        self.stepper, self._tapes = Stepper(self.equation, path, self.stepper.work), {}

    def bind(self, states: Tensor, parameters: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """One step of states of the data's grid like these, `[B, C, *space]`, with gradient.

        From a coarser grid its change is carried back, so that what the coarse grid does not hold stays as it was.
        """
        transfer = self.transfer
        if transfer is None:
            return self.stepper.bind(states, parameters)
        step = self.stepper.bind(transfer.restrict(states), parameters)

        def advance(state: Tensor) -> Tensor:
            own = transfer.restrict(state)
            return state + (transfer.prolong(step(own)) - transfer.prolong(own))

        return advance

    def rollout(
        self,
        starts: Tensor,
        parameters: Mapping[str, Tensor],
        steps: int,
        *,
        memory_budget: float = math.inf,
        read: Sequence[int] | None = None,
        correction: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """`[B, C, *space]` to `[B, steps, C, *space]`, with gradient.

        Args:
            parameters: see `Stepper`.
            memory_budget: bytes that the gradient may take beside the states that are read; a longer rollout is
                computed in segments, for about a third more time; not with a correction.
            read: numbers of the states to return, see `rollout`.
            correction: what a state of the data's grid becomes after each step; None: it stays.
        """
        if correction is not None:
            advance = self.bind(starts, parameters)
            return rollout(lambda state: correction(advance(state)), starts, steps, read)
        own = starts if self.transfer is None else self.transfer.restrict(starts)
        step = self.stepper.bind(own, parameters)
        if read is not None:
            steps = max(read, default=0)
        if steps > 1 and self.stepper.path == "compiled" and torch.is_grad_enabled():
            # The first step then has a gradient by the state as the others have, and is compiled with them.
            own = own if own.requires_grad else own.detach().requires_grad_(any(v.requires_grad for v in step.inputs))
        lengths = self._segment_lengths(step, own, steps, memory_budget)
        states = rollout_in_segments(step, own, steps, lengths, read) if lengths else rollout(step, own, steps, read)
        return states if self.transfer is None else self.transfer.prolong(states)

    def _segment_lengths(self, step: BoundStep, start: Tensor, steps: int, budget: float) -> tuple[int, ...]:
        """How a rollout is divided for its gradient; () where it has none, or where all of it fits."""
        inputs = [start, *step.inputs]
        if not torch.is_grad_enabled() or not any(v.requires_grad for v in inputs) or math.isinf(budget):
            return ()
        key = (start.shape, start.dtype, tuple(v.requires_grad for v in inputs))
        if key not in self._tapes:
            self._tapes[key] = tape_bytes(step, start)
        return segment_lengths(steps, start.numel() * start.element_size(), self._tapes[key], budget)
