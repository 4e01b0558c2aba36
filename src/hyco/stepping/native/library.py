"""Rollouts by compiled code, which is kept on disk, and their gradients."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hyco.stepping.graph import Program
from hyco.stepping.native.function import Function
from hyco.stepping.native.numbers import plain
from hyco.stepping.native.recording import record_preparation, record_single
from hyco.stepping.native.rollouts import adjoint_source, forward_source, preparation_source
from hyco.stepping.native.views import UnsupportedError
from hyco.stepping.recorder import TracingError

log = logging.getLogger(__name__)

T = TypeVar("T")
# Steps, the numbers of those after which states are wanted, and t before each of them.
Plan = tuple[int, tuple[int, ...], Tensor | None]
# By input, whether its slope is asked for.
Asked = tuple[bool, ...]


class Native:
    """The compiled code of a recorded step, for as many steps as are asked for in one call; with gradient.

    Its gradient is the adjoint of each step, from the last to the first: of the forward pass only the states are kept,
    and not even these where it does not depend on them.

    Args:
        program: of a step of states on the CPU.
        count: samples of the first rollout, which decide what is compiled first.

    Raises:
        UnsupportedError: there is an operation of which no code can be written.
        OSError, subprocess.CalledProcessError: it cannot be compiled.
    """

    def __init__(self, program: Program, count: int = 1) -> None:
        self._program, self._count = program, count
        recorded = record_single(program)
        self._batch, self._timed = recorded.batch, recorded.timed
        self._given = recorded.given
        # By the inputs whose slopes are asked for; whether it is right, once it was looked at.
        self._adjoints: dict[Asked, Function | None] = {}
        self._right: dict[Asked, bool] = {}
        self._forward = Function(forward_source(recorded), count)

    def _adjoint(self, asked: Asked) -> Function | None:
        if asked not in self._adjoints:
            self._adjoints[asked] = attempt(
                lambda: Function(adjoint_source(record_single(self._program, adjoint=asked)), self._count),
                "No code for the gradient of this step (%s): rollouts with gradient run traced.",
                logging.WARNING,
            )
        return self._adjoints[asked]

    def reads_states(self, asked: Asked) -> bool:
        """Whether the slopes that are asked for depend on the states before each step: not those of a linear step."""
        adjoint = self._adjoint(asked)
        return adjoint is None or adjoint.reads_states

    @property
    def has_gradient(self) -> bool:
        """Whether one was asked for, and there is code for it; else rollouts with gradient run traced."""
        return any(self._right.values())

    def __call__(self, state: Tensor, *inputs: Tensor) -> Tensor:
        """One step; see `hyco.stepping.graph.Program.step`."""
        time, inputs = (inputs[0][..., None], inputs[1:]) if self._timed else (None, inputs)
        return self.rollout(state, inputs, 1, (), time)[1]

    def rollout(
        self, start: Tensor, inputs: Sequence[Tensor], steps: int, wanted: Sequence[int], times: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """States `[B, R, C, *space]` after the steps that are wanted, and the last one.

        Args:
            wanted: numbers of steps, rising, from 1 on.
            times: t before each step, `[steps]` or `[B, steps]`; None: it does not matter.

        Raises:
            ValueError: the state or an input has another shape than where the step was recorded.
        """
        plan: Plan = (steps, tuple(wanted), times)
        if not _is_alike([start, *inputs], self._given, (0, *self._batch), len(start)):
            return self._traced(start, inputs, plan)
        own = [v if d is None else v.movedim(d, 0) for v, d in zip(inputs, self._batch, strict=True)]
        if torch.is_grad_enabled() and any(v.requires_grad for v in (start, *own)):
            if not self._has_right_gradient(start, inputs, own, plan):
                return self._traced(start, inputs, plan)
            kept, end = _Rollout.apply(self, plan, start, *own)  # type: ignore[no-untyped-call]
            return kept, end
        return self.run(plan, start, own)

    def _has_right_gradient(self, start: Tensor, inputs: Sequence[Tensor], own: Sequence[Tensor], plan: Plan) -> bool:
        """Whether that of a first step is autograd's of the traced one, looked at once: code may misread a graph."""
        by = tuple(v.requires_grad for v in own)
        if by not in self._right and self._adjoint(by) is None:
            self._right[by] = False
        if by not in self._right:
            first: Plan = (1, (), None if plan[2] is None else plan[2][..., :1])
            weights = torch.cos(torch.arange(start.numel(), dtype=start.dtype)).reshape(start.shape)
            sought = (True, *by)
            leaves = [v.detach().requires_grad_(is_asked) for v, is_asked in zip((start, *inputs), sought, strict=True)]
            with torch.enable_grad():
                _, end = self._traced(leaves[0], leaves[1:], first)
                asked = list(compress(leaves, sought))
                slopes = torch.autograd.grad((end * weights).sum(), asked, allow_unused=True, materialize_grads=True)
            nothing = start.new_empty(len(start), 0, *start.shape[1:])
            with torch.no_grad():
                detached = [v.detach() for v in own]
                found, others = self.slopes(first, start.detach()[:, None], detached, nothing, weights, by)
            back = [v if v is None or d is None else v.movedim(0, d) for v, d in zip(others, self._batch, strict=True)]
            self._right[by] = _are_close((v for v in (found, *back) if v is not None), slopes)
            if not self._right[by]:
                log.warning("The code for the gradient of this step gives other values: it runs traced.")
        return self._right[by]

    def _traced(self, state: Tensor, inputs: Sequence[Tensor], plan: Plan) -> tuple[Tensor, Tensor]:
        """The same, step by step."""
        steps, wanted, times = plan
        states = [state]
        for number in range(steps):
            time = () if times is None else (times[..., number].to(state.dtype),)
            states.append(self._program.step(states[-1], *time, *inputs))
        kept = torch.stack([states[number] for number in wanted], dim=1) if wanted else state[:, None][:, :0]
        return kept, states[-1]

    def run(self, plan: Plan, start: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The states that are wanted, and the last one."""
        steps, wanted, times = plan
        kept, end = start.new_empty(len(start), len(wanted), *start.shape[1:]), plain(start).clone()
        held, times = [plain(v) for v in inputs], _each(times, end, steps)
        for samples, ranges in self._forward.parts(len(start), steps):
            own, state = self._of(held, samples), end[samples]
            for part in ranges:
                reads, numbers = _within(part, wanted)
                place = kept[samples, reads]
                made = place.contiguous()  # itself, if it is a whole
                self._forward(_part(part, numbers, times, samples), len(state), own, state, made, state)
                if made is not place:
                    place.copy_(made)
        return kept, end

    def slopes(
        self,
        plan: Plan,
        states: Tensor | None,
        inputs: Sequence[Tensor],
        of_kept: Tensor,
        of_end: Tensor,
        asked: Asked,
    ) -> tuple[Tensor, list[Tensor | None]]:
        """By the first state and by the inputs, with those by the states that were wanted and by the last one.

        Args:
            states: before each step, `[B, steps, C, *space]`; None where the slopes do not depend on them.
            asked: for which inputs; the others have None.
        """
        steps, wanted, times = plan
        end, of_kept = plain(of_end).clone(), plain(of_kept)
        held, times = [plain(v) for v in inputs], _each(times, end, steps)
        # Of what all samples share each sample has a part.
        found = [
            v.new_zeros(len(end), *(v.shape if d is None else v.shape[1:]) if is_asked else (0,))
            for v, d, is_asked in zip(inputs, self._batch, asked, strict=True)
        ]
        adjoint = self._adjoint(asked)
        assert adjoint is not None
        for samples, ranges in adjoint.parts(len(end), steps):
            own, slope, sums = self._of(held, samples), end[samples], [v[samples] for v in found]
            for part in reversed(ranges):
                reads, numbers = _within(part, wanted)
                before = None if states is None else states[samples, slice(*part)].contiguous()
                read = of_kept[samples, reads].contiguous()
                adjoint(_part(part, numbers, times, samples), len(slope), own, before, read, slope, sums)
        by_inputs = zip(found, self._batch, asked, strict=True)
        return end, [None if not is_asked else v.sum(dim=0) if d is None else v for v, d, is_asked in by_inputs]

    def _of(self, inputs: Sequence[Tensor], samples: slice) -> list[Tensor]:
        """The inputs of some samples."""
        return [v if d is None else v[samples] for v, d in zip(inputs, self._batch, strict=True)]


class Preparation:
    """The compiled code of what a program works out from the parameters; with gradient it runs traced.

    Args:
        program: see `hyco.stepping.graph.Program`.
        values: of the parameters.
        batched: which of them have a leading dimension of samples.

    Raises:
        UnsupportedError: there is an operation of which no code can be written.
        OSError, subprocess.CalledProcessError: it cannot be compiled.
    """

    def __init__(self, program: Program, values: Sequence[Tensor], batched: Sequence[bool]) -> None:
        self._traced, self._any_batched = program.prepare, any(batched)
        recorded = record_preparation(program, values, batched)
        count = max((len(v) for v, own in zip(values, batched, strict=True) if own), default=1)
        self._run = Function(preparation_source(recorded), count)
        self._given, self._own = recorded.given[1:], recorded.batch
        (output,) = [node for node in recorded.step.graph.nodes if node.op == "output"]
        self._results = [node.meta["val"] for node in output.args[0]]
        given = [node.meta["recorded"] for node in program.graph.nodes if node.op == "placeholder"]
        shapes = [tuple(tensor.shape) for tensor in given[-len(self._results) :]]
        self._batch = [s.index(program.recorded_size) if program.recorded_size in s else None for s in shapes]

    def __call__(self, size: int, *values: Tensor) -> tuple[Tensor, ...]:
        """See `hyco.stepping.graph.Program.prepare`."""
        if torch.is_grad_enabled() and any(v.requires_grad for v in values):
            return self._traced(size, *values)
        if not _is_alike(values, self._given, self._own, size):
            return self._traced(size, *values)
        count, held = size if self._any_batched else 1, [plain(v) for v in values]
        made = [torch.empty(count, *tensor.shape, dtype=tensor.dtype) for tensor in self._results]
        for samples, _ in self._run.parts(count, 1):
            own = [v if d is None else v[samples] for v, d in zip(held, self._own, strict=True)]
            parts = [tensor[samples] for tensor in made]
            self._run((1, (), None), len(range(count)[samples]), own, parts)
        found = []
        for tensor, dim in zip(made, self._batch, strict=True):
            result = tensor[0] if dim is None else tensor.squeeze(dim + 1).movedim(0, dim)
            if dim is not None and count < size:
                result = result.expand(*result.shape[:dim], size, *result.shape[dim + 1 :])
            found.append(result)
        return tuple(found)


class _Rollout(torch.autograd.Function):
    """States that are wanted, and the last one, from the first one and the inputs."""

    @staticmethod
    def forward(ctx: Any, native: Native, plan: Plan, start: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        ctx.native, ctx.plan = native, plan
        if not native.reads_states(tuple(ctx.needs_input_grad[3:])):
            ctx.save_for_backward(None, *inputs)
            return native.run(plan, start, inputs)
        steps, wanted, times = plan
        states, end = native.run((steps, tuple(range(1, steps + 1)), times), start, inputs)
        ctx.save_for_backward(torch.cat([start[:, None], states[:, :-1]], dim=1), *inputs)
        kept = states if len(wanted) == steps else states[:, [number - 1 for number in wanted]]
        return kept, end

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_kept: Tensor, of_end: Tensor) -> tuple[Any, ...]:
        states, *inputs = ctx.saved_tensors
        asked = tuple(ctx.needs_input_grad[3:])
        start, slopes = ctx.native.slopes(ctx.plan, states, inputs, of_kept, of_end, asked)
        return None, None, start, *slopes


def _are_close(found: Iterable[Tensor], expected: Sequence[Tensor]) -> bool:
    """Whether all are the same but for rounding; one of them may be nothing else."""
    largest = max(float(v.abs().nan_to_num(posinf=0.0).max()) for v in expected if v.numel())
    exact = all(v.dtype in (torch.float64, torch.complex128) for v in expected)
    tolerance = 1e-8 if exact else 1e-3
    pairs = zip(found, expected, strict=True)
    return all(torch.allclose(a, b, tolerance, tolerance * largest, equal_nan=True) for a, b in pairs)


def _is_alike(given: Sequence[Tensor], recorded: Sequence[Tensor], batch: Sequence[int | None], count: int) -> bool:
    """Whether tensors are of the types of the recording: the code reads their memory as such.

    Args:
        batch: which dimension counts the samples; None: there is none.

    Raises:
        ValueError: they have other shapes, or are for other numbers of samples.
    """
    for tensor, like, dim in zip(given, recorded, batch, strict=True):
        shape = [count if number == dim else n for number, n in enumerate(like.shape)]
        if list(tensor.shape) != shape:
            raise ValueError(f"the step of {count} states takes a tensor {shape} here, got {list(tensor.shape)}")
    pairs = zip(given, recorded, strict=True)
    return all(tensor.dtype == like.dtype and tensor.device.type == "cpu" for tensor, like in pairs)


def _each(times: Tensor | None, like: Tensor, steps: int) -> Tensor | None:
    """The times of each sample, `[B, steps]`."""
    return None if times is None else times.to(like.dtype).expand(len(like), steps)


def _within(part: tuple[int, int], wanted: Sequence[int]) -> tuple[slice, tuple[int, ...]]:
    """Which of the steps that are wanted a part of them has, and their numbers in it."""
    first, last = part
    reads = [place for place, number in enumerate(wanted) if first < number <= last]
    begin = reads[0] if reads else 0
    return slice(begin, begin + len(reads)), tuple(wanted[place] - first for place in reads)


def _part(part: tuple[int, int], numbers: tuple[int, ...], times: Tensor | None, samples: slice) -> Plan:
    """The plan of one call."""
    first, last = part
    return last - first, numbers, None if times is None else times[samples, first:last].contiguous()


def attempt(make: Callable[[], T], what: str, level: int = logging.INFO) -> T | None:
    """What is made; None, with a line in the log, where no code can be written, compiled or loaded.

    Args:
        what: the line, with the reason in place of `%s`.
    """
    try:
        return make()
    except Exception as error:  # steps, compilers and caches can fail in as many ways as there are machines
        # Of what nobody foresaw the kind says more than the text.
        foreseen = isinstance(error, (UnsupportedError, TracingError, OSError, subprocess.CalledProcessError))
        kind = "" if foreseen else f"{type(error).__name__}: "
        log.log(level, what, kind + str(getattr(error, "stderr", None) or error).split("\n")[0])
        return None
