"""Recorded steps as compiled code: hyco's own, or that of `torch.compile`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from hyco.runtime.cache import cache_folder
from hyco.stepping.graph import Program
from hyco.stepping.native.library import Native, Preparation, attempt
from hyco.stepping.native.views import UnsupportedError
from hyco.stepping.rewrites.nodes import arguments
from hyco.stepping.rewrites.real_arithmetic import compute_with_pairs
from hyco.stepping.rewrites.transforms import without_changes_in_place

log = logging.getLogger(__name__)

# Numbers of a state up to which its step is code of hyco's own: as many as torch.compile takes longer for, also for one
# sample; and of a step of complex numbers, for which torch.compile makes nothing, as many as stay in the cache.
_SMALL, _SMALL_COMPLEX = 2048, 2 * 64**2


def compiled_program(program: Program, state: Tensor, values: Sequence[Tensor], batched: Sequence[bool]) -> Program:
    """A program as compiled code: hyco's own where it can be written and states are small.

    Args:
        state: `[B, C, *space]`.
        values, batched: of the parameters, see `hyco.stepping.graph.trace`.
    """
    native = native_program(program, state, values, batched) if runs_natively(program, state) else None
    return native or replace(program, step=Compiled(program))


def native_program(
    program: Program, state: Tensor, values: Sequence[Tensor], batched: Sequence[bool]
) -> Program | None:
    """A program as code of hyco's own; None, with a line in the log, where there is none or it gives other values."""

    def make() -> Program:
        made = replace(program, step=Native(program, len(state)), prepare=_preparation(program, values, batched))
        if not _is_equal(made, program, state, values):
            raise UnsupportedError("it gives other values than the traced step")
        return made

    return attempt(make, "No code of hyco's own for this step (%s).")


@torch.no_grad()
def _is_equal(made: Program, program: Program, state: Tensor, values: Sequence[Tensor]) -> bool:
    """Whether a step of code gives what the traced one does: the code may have read the graph wrongly."""
    times = [node.meta["recorded"].ndim for node in program.graph.nodes if node.name == "time"]
    moving = [state, *(state.new_full(state.shape[:ndim], 0.375) for ndim in times)]
    found, expected = (p.step(*moving, *p.prepare(len(state), *values)) for p in (made, program))
    tolerance = 1e-9 if state.dtype == torch.float64 else 1e-4
    largest = float(expected.abs().nan_to_num(posinf=0.0).max())
    return torch.allclose(found, expected, tolerance, tolerance * largest, equal_nan=True)


def _preparation(program: Program, values: Sequence[Tensor], batched: Sequence[bool]) -> Callable[..., tuple[Any, ...]]:
    """What a step takes beside the state and the time, as compiled code where there is such a thing and it can be."""
    _, *inputs = [node.name for node in program.graph.nodes if node.op == "placeholder"]
    if set(inputs) <= {"time"}:
        return program.prepare
    made = attempt(
        lambda: Preparation(program, values, batched),
        "No code of hyco's own for what this step takes from the parameters (%s): it is traced.",
    )
    return made or program.prepare


def runs_natively(program: Program, state: Tensor) -> bool:
    """Whether the code of a step of such states is hyco's own, as far as its operations allow it."""
    most = _SMALL if program.gains_by_compilation else _SMALL_COMPLEX
    return state.device.type == "cpu" and state[0].numel() <= most


class Compiled:
    """A recorded step that goes through Inductor at its first call; run as it is where that fails.

    What was compiled is kept on disk for later processes, in the user's cache or in TORCHINDUCTOR_CACHE_DIR.

    Attributes:
        failed: whether it could not be compiled, and runs as it was recorded.
    """

    def __init__(self, program: Program) -> None:
        if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
            try:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_folder("inductor"))
            except RuntimeError as error:
                log.info("What is compiled is kept where torch likes to (%s).", error)
        # The compiler takes seconds to import, and decides at its import where it keeps what it compiles.
        from hyco.stepping.ghost_cells import GhostCells

        self.failed = False
        self._recorded = program.step
        # Neighbours read what was computed, not each of them several fields that it is made of.
        options: dict[str, Any] = {"realize_reads_threshold": 2, "post_grad_custom_pre_pass": GhostCells()}
        self._run: Callable[..., Tensor] = torch.compile(for_the_compiler(program.graph), options=options)

    def __call__(self, state: Tensor, *inputs: Tensor) -> Tensor:
        """The next state."""
        if self.failed:
            return self._recorded(state, *inputs)
        try:
            return self._run(state, *inputs)
        except Exception as error:  # a compiler can fail in as many ways as there are machines
            next_state = self._recorded(state, *inputs)  # an error of the step itself is raised here
            log.warning("The step cannot be compiled (%s): it runs traced.", str(error).split("\n")[0])
            self.failed = True
            return next_state


def for_the_compiler(graph: fx.Graph) -> Callable[..., Tensor]:
    """A recorded step in other operations: more of them, of which a compiler makes fewer loops."""
    module = graph.owning_module
    assert module is not None
    own = fx.Graph()
    own.output(own.graph_copy(graph, {}))
    made = fx.GraphModule(module, own)
    scale_coefficients(made.graph)
    compute_with_pairs(made)
    return without_changes_in_place(made.graph).forward


def scale_coefficients(graph: fx.Graph) -> None:
    """Take `a + (number b) x` for each `a + number (b x)`, where b does not depend on the state.

    That is one operation more for an interpreter. The compiler makes it part of the loop over the cells, where the
    number costs nothing if b is the same for all of them; so it does in the gradient.
    """
    _, *inputs = [node for node in graph.nodes if node.op in ("placeholder", "get_attr")]
    for node in list(graph.nodes):
        if node.target is torch.addcmul and "value" in node.kwargs:
            summand, b, x = arguments(node)
            b, x = (b, x) if b in inputs else (x, b)
            if b in inputs:
                with graph.inserting_before(node):
                    scaled = graph.call_function(torch.mul, (b, node.kwargs["value"]))
                scaled.meta = dict(b.meta)
                node.args, node.kwargs = (summand, scaled, x), {}
