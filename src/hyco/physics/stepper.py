"""Runs an equation's step on plain tensors `[B, C, *space]`, three ways.

- `plain`: PhiFlow runs the step each time. The reference.
- `traced`: `make_fx` runs the step once and records the tensor operations; PhiFlow leaves the loop.
- `compiled`: the recorded graph goes through `torch.compile` (needs a C++ compiler on the CPU).

If a step cannot be traced (it looks at the values of tensors), PhiFlow's own just-in-time compilation runs it, path
`jit`. `path` says which way is taken in the end; every fallback is logged. This is the only module that uses these
internals of torch.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from phi import math
from phi.math import batch, spatial
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from hyco.fields import to_fields, to_tensor
from hyco.physics.equation import Equation

log = logging.getLogger(__name__)

Path = Literal["auto", "plain", "jit", "traced", "compiled"]

# Traced steps by equation: all steppers of one equation share them.
_PROGRAMS: WeakKeyDictionary[Equation, dict[tuple[Any, ...], Callable[..., Tensor]]] = WeakKeyDictionary()


class Stepper:
    """One `dt` of an equation as a function of tensors.

    Args:
        equation: the PDE.
        path: how to run it; `auto` is `traced`, which costs about a second once and pays from the first rollout.
    """

    def __init__(self, equation: Equation, path: Path = "auto") -> None:
        self.equation = equation
        self.names = tuple(sorted(equation.parameters))
        self.path: Path = "traced" if path == "auto" else path
        if self.path == "compiled" and shutil.which(os.environ.get("CXX", "g++")) is None:
            log.warning("No C++ compiler found: the step runs traced, not compiled.")
            self.path = "traced"
        self._programs = _PROGRAMS.setdefault(equation, {})
        self._jit = math.jit_compile(equation.step) if self.path == "jit" else None

    def __call__(self, state: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Advance `state` `[B, C, *space]` by one `dt`.

        Args:
            parameters: a value for each of the equation's parameters, in the state's dtype: `[]`, or `[B]`, or
                `[B, *space]` for one that varies in space, where B may be 1. One that is left out has the value
                that the equation's configuration gives it.
        """
        if len(parameters) < len(self.names):
            parameters = {**self.equation.parameter_tensors(state.dtype, state.device), **parameters}
        count = state.shape[0]
        values = [v.expand(count, *v.shape[1:]) for v in (parameters[name] for name in self.names)]
        run = self._program(state, values)
        for _ in range(self.equation.substeps):
            state = run(state, *values)
        return state

    def _program(self, state: Tensor, values: list[Tensor]) -> Callable[..., Tensor]:
        """What runs one step for states and parameters of these shapes."""
        if self.path in ("plain", "jit"):
            return self._run_fields
        key = (self.path, state.shape, state.dtype, state.device, tuple(v.ndim for v in values))
        if key not in self._programs:
            program = self._trace(state, values)
            if program is None:
                return self._run_fields
            self._programs[key] = program
        return self._programs[key]

    def _run_fields(self, state: Tensor, *values: Tensor) -> Tensor:
        """The step as PhiFlow runs it, from tensor to tensor."""
        layout = self.equation.layout
        step: Callable[..., dict[str, Any]] = self._jit or self.equation.step
        with math.precision(64 if state.dtype == torch.float64 else 32):
            fields = to_fields(state, layout)
            dims = (batch("batch"), spatial(",".join(layout.grid.axes)))
            parameters = {
                name: math.wrap(v, *dims[: 1 if v.ndim == 1 else 2]) for name, v in zip(self.names, values, strict=True)
            }
            return to_tensor(step(fields, parameters), layout)

    def _trace(self, state: Tensor, values: list[Tensor]) -> Callable[..., Tensor] | None:
        """Record the step as a graph for states of this shape, or None if that is impossible.

        PhiML puts sizes into reshapes as plain numbers, so that a graph holds for one batch size only.
        """
        try:
            graph = make_fx(self._run_fields)(state.detach().clone(), *[v.detach().clone() for v in values])
        except Exception as error:  # tracing can fail in as many ways as a step can be written
            log.warning("The step cannot be traced (%s); PhiFlow's jit runs it.", str(error).split("\n")[0])
            self.path, self._jit = "jit", math.jit_compile(self.equation.step)
            return None
        graph.graph.eliminate_dead_code()
        graph.recompile()
        log.debug("Traced the step of %s: %d operations.", type(self.equation).__name__, len(graph.graph.nodes))
        if self.path == "compiled":
            compiled: Callable[..., Tensor] = torch.compile(graph, dynamic=False)
            return compiled
        return graph
