"""Rollouts by compiled code, which is kept on disk, and their gradients."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hyco.stepping.graph import Program, TracingError
from hyco.stepping.native.recording import record_preparation, record_single
from hyco.stepping.native.rollouts import Source, adjoint_source, forward_source, preparation_source
from hyco.stepping.native.views import UnsupportedError

log = logging.getLogger(__name__)

# Values that are no numbers stay so: no -ffast-math.
_FLAGS = ("-std=c++17", "-O2", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


class Native:
    """The compiled code of a recorded step, for as many steps as are asked for in one call; with gradient.

    Its gradient is the adjoint of each step, from the last to the first: of the forward pass only the states are kept.

    Args:
        program: of a step of states on the CPU.

    Raises:
        UnsupportedError: there is an operation of which no code can be written.
        OSError, subprocess.CalledProcessError: it cannot be compiled.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        recorded = record_single(program)
        self._batch, self._timed = recorded.batch, recorded.timed
        self._forward = _Function(forward_source(recorded))

    @cached_property
    def _adjoint(self) -> _Function | None:
        try:
            return _Function(adjoint_source(record_single(self._program, adjoint=True)))
        except (UnsupportedError, TracingError, OSError, subprocess.CalledProcessError) as error:
            log.warning("No code for the gradient of this step (%s): rollouts with gradient run traced.", reason(error))
            return None

    @property
    def has_gradient(self) -> bool:
        """Whether there is code for it; else rollouts with gradient run traced."""
        return self._adjoint is not None

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
        """
        own = [v if d is None else v.movedim(d, 0) for v, d in zip(inputs, self._batch, strict=True)]
        plan = (steps, tuple(wanted), times)
        if torch.is_grad_enabled() and any(v.requires_grad for v in (start, *own)):
            if not self.has_gradient:
                return self._traced(start, inputs, plan)
            kept, end = _Rollout.apply(self, plan, start, *own)  # type: ignore[no-untyped-call]
            return kept, end
        return self.run(plan, start, own)

    def _traced(self, state: Tensor, inputs: Sequence[Tensor], plan: Any) -> tuple[Tensor, Tensor]:
        """The same, step by step."""
        steps, wanted, times = plan
        states = [state]
        for number in range(steps):
            time = () if times is None else (times[..., number].to(state.dtype),)
            states.append(self._program.step(states[-1], *time, *inputs))
        kept = torch.stack([states[number] for number in wanted], dim=1) if wanted else state[:, None][:, :0]
        return kept, states[-1]

    def run(self, plan: Any, start: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The states that are wanted, and the last one."""
        wanted, start = plan[1], start.contiguous()
        kept, end = start.new_empty(len(start), len(wanted), *start.shape[1:]), torch.empty_like(start)
        self._forward(plan, len(start), inputs, start, kept, end)
        return kept, end

    def slopes(
        self, plan: Any, states: Tensor, inputs: Sequence[Tensor], of_kept: Tensor, of_end: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """By the first state and by the inputs, with those by the states that were wanted and by the last one."""
        end = of_end.contiguous().clone()
        # Of what all samples share each sample has a part.
        parts = [
            v.new_empty(len(end), *(v.shape if d is None else v.shape[1:]))
            for v, d in zip(inputs, self._batch, strict=True)
        ]
        assert self._adjoint is not None
        self._adjoint(plan, len(end), inputs, states, of_kept.contiguous(), end, parts)
        return end, [part.sum(dim=0) if d is None else part for part, d in zip(parts, self._batch, strict=True)]


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
        self._run = _Function(preparation_source(recorded))
        (output,) = [node for node in recorded.step.graph.nodes if node.op == "output"]
        self._results = [node.meta["val"] for node in output.args[0]]
        given = [node.meta["recorded"] for node in program.graph.nodes if node.op == "placeholder"]
        shapes = [tuple(tensor.shape) for tensor in given[-len(self._results) :]]
        self._batch = [s.index(program.recorded_size) if program.recorded_size in s else None for s in shapes]

    def __call__(self, size: int, *values: Tensor) -> tuple[Tensor, ...]:
        """See `hyco.stepping.graph.Program.prepare`."""
        if torch.is_grad_enabled() and any(v.requires_grad for v in values):
            return self._traced(size, *values)
        count = size if self._any_batched else 1
        made = [torch.empty(count, *tensor.shape, dtype=tensor.dtype) for tensor in self._results]
        self._run((1, (), None), count, values, made)
        found = []
        for tensor, dim in zip(made, self._batch, strict=True):
            own = tensor[0] if dim is None else tensor.squeeze(dim + 1).movedim(0, dim)
            found.append(
                own if dim is None or count == size else own.expand(*own.shape[:dim], size, *own.shape[dim + 1 :])
            )
        return tuple(found)


class _Rollout(torch.autograd.Function):
    """States that are wanted, and the last one, from the first one and the inputs."""

    @staticmethod
    def forward(ctx: Any, native: Native, plan: Any, start: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        steps, wanted, times = plan
        states, end = native.run((steps, tuple(range(1, steps + 1)), times), start, inputs)
        ctx.native, ctx.plan = native, plan
        ctx.save_for_backward(torch.cat([start[:, None], states[:, :-1]], dim=1), *inputs)
        return states[:, [number - 1 for number in wanted]], end

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_kept: Tensor, of_end: Tensor) -> tuple[Any, ...]:
        states, *inputs = ctx.saved_tensors
        start, slopes = ctx.native.slopes(ctx.plan, states, inputs, of_kept, of_end)
        return None, None, start, *slopes


class _Function:
    """A compiled function."""

    def __init__(self, source: Source) -> None:
        self._run = ctypes.CDLL(str(_compiled(source.text))).run
        self._run.restype = None
        self._constants = source.constants

    def __call__(self, plan: Any, count: int, inputs: Sequence[Tensor], *tensors: Any) -> None:
        steps, wanted, times = plan
        marks = bytearray(max(1, steps))
        for number in wanted:
            marks[number - 1] = 1
        if times is not None:
            times = times.to(tensors[0].dtype).expand(count, steps).contiguous()
        held = [*(v.contiguous() for v in inputs), *self._constants]
        self._run(
            ctypes.c_long(count),
            ctypes.c_long(steps),
            ctypes.c_long(len(wanted)),
            (ctypes.c_ubyte * len(marks)).from_buffer(marks),
            _pointer(times),
            _pointer(held),
            *map(_pointer, tensors),
        )


def reason(error: Exception) -> str:
    """The first line of what went wrong."""
    return str(getattr(error, "stderr", None) or error).split("\n")[0]


def _pointer(value: Any) -> Any:
    """Of a tensor, or of the pointers of several."""
    if isinstance(value, list):
        return (ctypes.c_void_p * len(value))(*(tensor.data_ptr() for tensor in value))
    return None if value is None else ctypes.c_void_p(value.data_ptr())


def _compiled(source: str) -> Path:
    """The library of a source, from the user's cache if it is there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hyco" / "native"
    compiler = os.environ.get("CXX", "g++")
    key = hashlib.sha256("\n".join((compiler, *_FLAGS, _machine(), source)).encode()).hexdigest()[:32]
    library = cache / f"{key}.so"
    if library.exists():
        return library
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        text, made = Path(folder) / "step.cpp", Path(folder) / "step.so"
        text.write_text(source, encoding="utf-8")
        subprocess.run([compiler, *_FLAGS, str(text), "-o", str(made)], check=True, capture_output=True, text=True)
        made.replace(library)
    return library


def _machine() -> str:
    """What code for the machine at hand depends on."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    return platform.machine() + next((line for line in lines if line.startswith(("flags", "Features"))), "")
