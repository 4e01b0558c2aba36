"""The graph of a step: recorded once, valid for every batch size, without what need not be computed in every step.

This module, the recorder, the rewrites and the stepper are the only ones that use these internals of torch.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx

from hyco.stepping.recorder import Recording, is_multiple, record
from hyco.stepping.rewrites import call_torch, simplify
from hyco.stepping.rewrites.nodes import drop_unused, is_complex
from hyco.stepping.samples import Samples

log = logging.getLogger(__name__)

aten = torch.ops.aten
Run = Callable[..., Tensor]

# Names of the inputs of a step that are others in each.
MOVING = ("state", "time")

# The part of the operations that have to do with real numbers alone where a compilation is a gain.
_MOSTLY = 0.75


@dataclass
class Program:
    """A step in two parts, for any number of samples.

    Attributes:
        prepare: what does not depend on the state or the time, from the batch size and the parameters' values to a
            tuple.
        step: from the state, the time where the step depends on it, and that tuple to the next state.
        graph: the operations of `step`.
        recorded_size: the batch size of the recording, which the shapes in the graph have.
    """

    prepare: Callable[..., tuple[Any, ...]]
    step: Callable[..., Tensor]
    graph: fx.Graph
    recorded_size: int

    @cached_property
    def samples(self) -> Samples | None:
        """How a rollout of `step` goes part by part; None where it is not known which of its inputs are of what."""
        size, dims = self.recorded_size, []
        for node in self.graph.nodes:
            if node.op != "placeholder" or node.name in MOVING:
                continue
            of_samples = [dim for dim, n in enumerate(node.meta["recorded"].shape) if is_multiple(n, size)]
            if len(of_samples) > 1 or any(node.meta["recorded"].shape[dim] != size for dim in of_samples):
                return None
            dims.append(of_samples[0] if of_samples else None)
        return Samples(tuple(dims))

    @property
    def operations(self) -> int:
        """How many there are in a step."""
        return len(self.graph.nodes)

    @property
    def real_operations(self) -> int:
        """How many of them have to do with real numbers alone: those that a compiler makes loops of."""
        with_complex = [i for i in self.graph.nodes if any(map(is_complex, (i, *i.all_input_nodes)))]
        return self.operations - len(with_complex)

    @property
    def gains_by_compilation(self) -> bool:
        """Whether a compiled step takes less time than this one: not where many operations are of complex numbers.

        A compiler generates nothing for their transforms, which it calls as they are: what it makes of the sums and
        products between them, as pairs of real numbers, has to wait for them. Measured with half of the operations
        complex, on 128² cells: 1.3 times the time of the traced step, .9 with the gradient.
        """
        return self.real_operations > _MOSTLY * self.operations


def trace(
    run: Run, state: Tensor, values: Sequence[Tensor], batched: Sequence[bool], time: Tensor | None = None
) -> Program:
    """Record `run(state, *values)`, or `run(state, time, *values)`, for states `[B, C, *space]` of any B.

    The step runs once on tensors without memory, with a batch size that no other size is a multiple of. PhiML puts
    sizes into reshapes as plain numbers; those that are a multiple of that batch size are the ones that depend on it.

    Args:
        values: of the parameters.
        batched: which of them have a leading dimension B.
        time: `[]` or `[B]`, of a step that takes it; None: it takes none.

    Raises:
        TracingError: the values of tensors decide what the step does, or it changes tensors in place.
    """
    moving = [state] if time is None else [state, time]
    size = _unusual(max(max(tensor.shape, default=0) for tensor in (*moving, *values)))
    shapes = [
        (size, *v.shape[1:]) if b else tuple(v.shape)
        for v, b in zip((*moving, *values), (*(m.ndim > 0 for m in moving), *batched), strict=True)
    ]
    inputs = [torch.empty(shape, dtype=state.dtype, device="meta") for shape in shapes]
    recording = record(run, inputs, state.device, size)
    try:
        simplify(recording.graph)
    except Exception as error:  # an operation of an equation that the rewrites do not support
        log.warning("The recorded step is not made cheaper (%s: %s): it runs as it is.", type(error).__name__, error)
        recording = record(run, inputs, state.device, size)
    return _split(recording, size, MOVING[: len(moving)])


def _unusual(largest: int) -> int:
    """A prime above every size, also with ghost cells, that does not divide the largest integer either."""
    number = largest + 32
    while any(number % p == 0 for p in range(2, int(number**0.5) + 1)) or (2**63 - 1) % number == 0:
        number += 1
    return number


@dataclass
class _Part:
    """A graph under construction, with the nodes of the whole that it holds."""

    graph: fx.Graph = field(default_factory=fx.Graph)
    nodes: dict[fx.Node, fx.Node] = field(default_factory=dict)


def _split(whole: Recording, size: int, changing: Sequence[str]) -> Program:
    """Constants are computed now, what depends on the parameters or the batch size once per rollout.

    Args:
        changing: names of the first inputs, which are others in each step.
    """
    once, every = _Part(), _Part()
    constants: dict[fx.Node, Any] = {}
    given = [node for node in whole.graph.nodes if node.op == "placeholder"]
    moving, values = set(given[: len(changing)]), given[len(changing) :]
    count = once.graph.placeholder("size")
    once.nodes |= {node: once.graph.placeholder(node.name) for node in values}
    every.nodes |= {node: _input(every, node, name) for node, name in zip(given, changing, strict=False)}
    (output,) = [node for node in whole.graph.nodes if node.op == "output"]
    for node in whole.graph.nodes:
        if node.op == "get_attr":
            constants[node] = whole.constants[str(node.target)].detach()
        elif node.op == "call_function":
            inputs = node.all_input_nodes
            if not moving.isdisjoint(inputs):
                moving.add(node)
            elif all(i in constants for i in inputs) and not _depends_on(node, size):
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), constants.__getitem__)
                with torch.no_grad():
                    constants[node] = node.target(*args, **kwargs)
    result = output.args[0]
    if result not in moving:
        moving.add(result)  # the state does not matter: a static problem
    needed = {i for node in moving for i in node.all_input_nodes if i not in moving}
    attributes: dict[str, Any] = {}

    def constant(part: _Part, node: fx.Node) -> fx.Node:
        attributes[f"constant_{node.name}"] = constants[node]
        return part.graph.get_attr(f"constant_{node.name}")

    for node in whole.graph.nodes:
        if node in constants or node.op != "call_function":
            continue
        part = every if node in moving else once
        for i in node.all_input_nodes:
            if i not in part.nodes:
                part.nodes[i] = constant(part, i) if i in constants else _input(every, i, i.name)
        part.nodes[node] = part.graph.node_copy(node, part.nodes.__getitem__)
    passed = [node for node in needed if node not in constants]
    passed.sort(key=list(every.nodes).index)
    once.graph.output(tuple(once.nodes[node] for node in passed))
    every.graph.output(every.nodes[result])
    _free_size(once.graph, size, lambda: count)
    _free_size(every.graph, size, lambda: _first_size(every))
    _placeholders_first(every.graph)
    drop_unused(once.graph)
    call_torch(once.graph)
    call_torch(every.graph)
    # The functions, not the modules, whose calls look for hooks.
    prepare, step = (fx.GraphModule(attributes, part.graph).forward for part in (once, every))
    return Program(prepare, step, every.graph, size)


def _input(part: _Part, node: fx.Node, name: str) -> fx.Node:
    made = part.graph.placeholder(name)
    made.meta["recorded"] = node.meta["val"]
    return made


def _first_size(part: _Part) -> fx.Node:
    state = next(iter(part.graph.nodes))
    with part.graph.inserting_after(state):
        return part.graph.call_function(aten.sym_size.int, (state, 0))


def _placeholders_first(graph: fx.Graph) -> None:
    last = next(iter(graph.nodes))
    for node in list(graph.nodes):
        if node.op == "placeholder" and node is not last:
            last.append(node)
            last = node


def _depends_on(node: fx.Node, size: int) -> bool:
    """Whether an argument is a multiple of the batch size."""
    multiples = []

    def look(value: Any) -> Any:
        multiples.append(is_multiple(value, size))
        return value

    fx.node.map_aggregate((node.args, node.kwargs), look)
    return any(multiples)


def _free_size(graph: fx.Graph, size: int, batch: Callable[[], fx.Node]) -> None:
    """Replace the multiples of the batch size of the recording by those of the batch size at hand."""
    nodes = [node for node in graph.nodes if node.op == "call_function" and _depends_on(node, size)]
    if not nodes:
        return
    multiples = {1: batch()}

    def free(value: Any) -> Any:
        if not is_multiple(value, size):
            return value
        factor = value // size
        if factor not in multiples:
            with graph.inserting_after(multiples[1]):
                multiples[factor] = graph.call_function(operator.mul, (multiples[1], factor))
        return multiples[factor]

    for node in nodes:
        node.args = fx.node.map_aggregate(node.args, free)
        node.kwargs = fx.node.map_aggregate(node.kwargs, free)
