"""Runs an equation's step on plain tensors `[B, C, *space]`, three ways.

- `plain`: PhiFlow runs the step each time. The reference.
- `traced`: the step is recorded once as a graph of tensor operations; PhiFlow leaves the loop.
- `compiled`: the recorded graph is compiled, all steps of a rollout in one call (`hyco.stepping.native`) or
  step by step through `torch.compile` (both need a C++ compiler on the CPU).

If a step cannot be traced (it looks at the values of tensors), PhiFlow's own just-in-time compilation runs it:
execution `jit`. `execution` says what runs in the end; every fallback is logged.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from phi import math
from phi.math import batch, spatial
from phiml.backend.torch import TORCH
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.fields import precision, to_fields, to_tensor
from hyco.stepping.bound_step import BoundStep
from hyco.stepping.compiled import Compiled, compiled_program, native_program, runs_natively
from hyco.stepping.graph import Program, trace
from hyco.stepping.native.library import Native
from hyco.stepping.recorder import TracingError
from hyco.trained_model import Time

log = logging.getLogger(__name__)

Execution = Literal["auto", "plain", "jit", "traced", "compiled"]

Programs = dict[tuple[Any, ...], Program]

# Traced steps by equation: all steppers of one equation share them. On grids of few cells, where a trace takes longer
# than its rollouts, so do equations of this package with one configuration: an evaluation takes those of the training.
_PROGRAMS: WeakKeyDictionary[Equation, Programs] = WeakKeyDictionary()
_SHARED: OrderedDict[tuple[type[Equation], str], Programs] = OrderedDict()
_FEW_CELLS, _MOST_SHARED = 2**16, 8


# Measured on one core: what an operation of a traced step costs, its gradient included, by itself and per number of the
# state; of a compilation, by torch and to code of hyco's own, what it costs by itself and per operation, and the part
# of the traced time that it saves.
_OPERATION, _NUMBER = 1e-5, 1e-9
_COMPILATION, _PER_OPERATION, _SAVED = 10.0, 0.3, 0.5
_NATIVE_COMPILATION, _NATIVE_PER_OPERATION, _NATIVE_SAVED = 0.6, 0.01, 0.8


class Stepper:
    """One `dt` of an equation as a function of tensors.

    Execution `auto` is `compiled` where `worth_compiling` says so and there is a compiler, else `traced`. It is decided
    at the first step, from numbers of the configuration alone: the same configuration runs in the same way.

    Args:
        equation: the PDE.
        execution: how to run it.
        work: steps of `dt` that are to be expected, each of all samples; with 0, `auto` is `traced`.
        before: the `code` of what goes on here; a line says where another one does. None: nothing does.

    Attributes:
        code: what has run the steps until now, those before among them: `traced`, `compiled by hyco`, `compiled by
            torch`; nothing of an execution `plain` or `jit`.
    """

    def __init__(
        self, equation: Equation, execution: Execution = "auto", work: int = 0, before: Iterable[str] | None = None
    ) -> None:
        self.equation = equation
        self.names = tuple(sorted(equation.parameters))
        self.execution: Execution = execution
        self.work = work
        if hasattr(equation, "config") and equation.config.open_ranges:
            log.warning(
                "%s of the equation is auto and nothing is known of the states: the step is made for what costs least. "
                "See hyco.equations.ranges.covering.",
                " and ".join(equation.config.open_ranges),
            )
        if execution == "compiled" and not _has_compiler():
            log.warning("No C++ compiler found: the step runs traced, not compiled.")
            self.execution = "traced"
        if execution == "auto" and work == 0:
            self.execution = "traced"
        self.code = set(before or ())
        self._goes_on = bool(self.code)
        self._programs = _programs_of(equation)
        self._jit = math.jit_compile(equation.step) if self.execution == "jit" else None
        self._timed = not equation.autonomous
        # A static problem has no time: to its step it is always 0.
        self._static = self._timed and equation.config.is_static

    @property
    def compiles_each_size(self) -> bool:
        """Whether another batch size may be compiled anew."""
        ours = [p for (kind, _), p in self._programs.items() if kind == "compiled" and isinstance(p.step, Native)]
        return self.execution == "compiled" and not ours

    def __call__(self, state: Tensor, parameters: Mapping[str, Tensor], time: Time = 0.0) -> Tensor:
        """Advance `state` `[B, C, *space]` by one `dt`. For many steps, `bind` the parameters once."""
        return self.bind(state, parameters, time)(state)

    def bind(self, state: Tensor, parameters: Mapping[str, Tensor], time: Time = 0.0) -> BoundStep:
        """The step with these parameters, for states like `state`; what does not depend on the state is computed here.

        Args:
            state: `[B, C, *space]`.
            parameters: a value for each of the equation's parameters, in the state's dtype: `[]`, or `[B]`, or
                `[B, *space]` for one that varies in space, where B may be 1. One that is left out has the value
                that the equation's configuration gives it.
            time: t of the state with which a rollout begins, `[]` or `[B]`; of no effect on an autonomous equation.

        Raises:
            ValueError: there are other numbers of times and of states.
        """
        if len(parameters) < len(self.names):
            parameters = {**self.equation.parameter_tensors(state.dtype, state.device), **parameters}
        given = [parameters[name] for name in self.names]
        # What all samples share has no batch dimension: it is not computed with for each of them.
        batched = tuple(v.ndim > 0 and len(v) > 1 for v in given)
        values = [v[0] if v.ndim and not own else v for v, own in zip(given, batched, strict=True)]
        begin = self._time(state, time) if self._timed else None
        program = None if self.execution in ("plain", "jit") else self._program(state, values, batched, begin)
        dt = self.equation.dt if self._timed and not self._static else 0.0
        run: Callable[..., Tensor] = partial(self._run_fields, batched) if program is None else program.step
        inputs = tuple(values) if program is None else program.prepare(len(state), *values)
        samples = None if program is None or isinstance(program.step, (Native, Compiled)) else program.samples
        return BoundStep(run, inputs, self.equation.substeps, begin, dt, samples=samples)

    def _time(self, state: Tensor, time: Time) -> Tensor:
        """The times of states `[B, C, *space]` where they are, `[]` or `[B]` float64.

        Raises:
            ValueError: there are other numbers of times and of states.
        """
        given = torch.as_tensor(0.0 if self._static else time, dtype=torch.float64, device=state.device)
        if given.ndim > 1 or (given.ndim and len(given) != len(state)):
            raise ValueError(f"time: expected a number or [{len(state)}], one for each state, got {list(given.shape)}")
        return given[0] if given.ndim and len(given) == 1 else given

    def _program(
        self, state: Tensor, values: list[Tensor], batched: tuple[bool, ...], time: Tensor | None
    ) -> Program | None:
        """The graph of the step for states, parameters and times of these kinds, or None if there is none."""
        parameters = tuple((v.ndim, own) for v, own in zip(values, batched, strict=True))
        kind = (state.dtype, state.device, parameters, None if time is None else time.ndim)
        if ("traced", kind) not in self._programs:
            program = self._trace(state, values, batched, time)
            if program is None:
                return None
            self._programs["traced", kind] = program
        program = self._programs["traced", kind]
        if self.execution == "auto":
            native = self._choose(program, state, values, batched)
            if native is not None:
                self._programs["compiled", kind] = native
        if self.execution == "compiled" and ("compiled", kind) not in self._programs:
            self._programs["compiled", kind] = compiled_program(program, state, values, batched)
        step = self._programs[self.execution, kind].step
        if isinstance(step, Compiled) and step.failed:
            self.execution = "traced"  # so that the report says what ran
        self._note(step)
        return self._programs[self.execution, kind]

    def _note(self, step: Callable[..., Tensor]) -> None:
        """Note what runs the steps, and say where that is something else than before."""
        code = self.execution if self.execution == "traced" else f"compiled by {_name_of(step)}"
        if self._goes_on and code not in self.code:
            log.warning(
                "The training was begun with steps that were %s and goes on with steps that are %s: its last digits "
                "may differ from those of a run without interruption.",
                " and ".join(sorted(self.code)),
                code,
            )
        self.code.add(code)

    def _choose(
        self, program: Program, state: Tensor, values: list[Tensor], batched: tuple[bool, ...]
    ) -> Program | None:
        """Decide how the steps run; the program in hyco's own code if it is to be that."""
        steps, has_compiler, native = self.work * self.equation.substeps, _has_compiler(), None
        worth = program.gains_by_compilation and worth_compiling(program.real_operations, state.numel(), steps)
        if runs_natively(program, state) and worth_compiling(program.operations, state.numel(), steps, native=True):
            native, worth = (
                native_program(program, state, values, batched) if has_compiler else None,
                worth or not has_compiler,
            )
        self.execution = "compiled" if has_compiler and (worth or native is not None) else "traced"
        if worth and not has_compiler:
            log.warning("No C++ compiler found: the step runs traced, though a compilation would be worth its time.")
        own = " as code of hyco's own" if native is not None and self.execution == "compiled" else ""
        log.info("The step runs %s%s (%d operations).", self.execution, own, program.operations)
        return native

    def _run_fields(self, batched: Sequence[bool], state: Tensor, *inputs: Tensor) -> Tensor:
        """The step as PhiFlow runs it, from tensor to tensor; of an equation with time the first of `inputs` is t."""
        layout = self.equation.layout
        step: Callable[..., dict[str, Any]] = self._jit or self.equation.step
        space = spatial(",".join(layout.grid.axes))
        with precision(64 if state.dtype == torch.float64 else 32), _constants_beside(state):
            fields = to_fields(state, layout)
            values, times = inputs, []
            if self._timed:
                times = [math.wrap(inputs[0], *([batch("batch")] if inputs[0].ndim else []))]
                values = inputs[1:]
            parameters = {}
            for name, value, own in zip(self.names, values, batched, strict=True):
                dims = [batch("batch")] if own else []
                parameters[name] = math.wrap(value, *dims, *([space] if value.ndim > len(dims) else []))
            return to_tensor(step(fields, parameters, *times), layout)

    @torch.no_grad()
    def _trace(
        self, state: Tensor, values: list[Tensor], batched: tuple[bool, ...], time: Tensor | None
    ) -> Program | None:
        """Record the step as a graph and hold it against PhiFlow's, or None if it cannot be recorded."""

        def run(state: Tensor, *inputs: Tensor) -> Tensor:
            return self._run_fields(batched, state, *inputs)

        moving = (state,) if time is None else (state, time.to(state.dtype))
        try:
            program = trace(run, state, values, batched, *moving[1:])
            traced, expected = program.step(*moving, *program.prepare(len(state), *values)), run(*moving, *values)
            tolerance = 1e-9 if state.dtype == torch.float64 else 1e-4
            largest = float(expected.abs().nan_to_num(posinf=0.0).max())
            same_kind = (traced.dtype, traced.shape) == (expected.dtype, expected.shape)
            if not same_kind or not torch.allclose(traced, expected, tolerance, tolerance * largest, equal_nan=True):
                raise TracingError("its graph gives other values than the step itself")
        except TracingError as error:
            log.warning(
                "The step cannot be traced (%s); PhiFlow's jit runs it, several times slower: see docs/performance.md.",
                error,
            )
            self.execution, self._jit = "jit", math.jit_compile(self.equation.step)
            return None
        log.debug("Traced the step of %s: %d operations.", type(self.equation).__name__, program.operations)
        return program


def _programs_of(equation: Equation) -> Programs:
    """The traced steps of an equation, those of all that are alike where they are shared; the oldest are forgotten."""
    if equation not in _PROGRAMS:
        programs: Programs = {}
        own = type(equation).__module__.startswith("hyco.")  # one of a user's may read a file
        if own and prod(equation.layout.grid.resolution) <= _FEW_CELLS:
            alike = type(equation), equation.config.model_dump_json()
            programs = _SHARED.setdefault(alike, programs)
            _SHARED.move_to_end(alike)
            if len(_SHARED) > _MOST_SHARED:
                _SHARED.popitem(last=False)
        _PROGRAMS[equation] = programs
    return _PROGRAMS[equation]


@contextmanager
def _constants_beside(state: Tensor) -> Iterator[None]:
    """PhiML puts constants where it likes to compute, on a GPU if there is one; here they belong to the state."""
    before = TORCH.get_default_device()
    TORCH.set_default_device(TORCH.get_device(state))
    try:
        yield
    finally:
        TORCH.set_default_device(before)


def _name_of(compiled: Callable[..., Tensor]) -> str:
    return "hyco" if isinstance(compiled, Native) else "torch"


def execution_after_training(execution: Execution) -> Execution:
    """For rollouts after a training with this execution: a compilation that paid for it need not pay for them."""
    return "auto" if execution == "compiled" else execution


def worth_compiling(operations: int, numbers: int, steps: int, native: bool = False) -> bool:
    """Whether a compilation saves more than twice the time that it takes.

    A traced step with n operations on a state of N numbers takes about n (10 µs + N · 1 ns), with its gradient. Code of
    hyco's own saves four fifths of that and takes about 0.6 s + n · 0.01 s; torch.compile saves half of it and takes
    about 10 s + n · 0.3 s, for the step and its gradient.

    Args:
        operations: for torch.compile those of real numbers; it makes nothing of complex ones.
        steps: how many there will be, sub-steps of the equation.
        native: of hyco's own code.
    """
    traced = steps * operations * (_OPERATION + _NUMBER * numbers)
    if native:
        return _NATIVE_SAVED * traced > 2 * (_NATIVE_COMPILATION + _NATIVE_PER_OPERATION * operations)
    return _SAVED * traced > 2 * (_COMPILATION + _PER_OPERATION * operations)


def _has_compiler() -> bool:
    return shutil.which(os.environ.get("CXX", "g++")) is not None
