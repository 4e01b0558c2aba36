"""Records what a function of tensors does as a graph of tensor operations, on tensors without memory.

In place of torch's `make_fx`, which looks at each operation many times: a step of 300 is recorded in a third of the
time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from hyco.runtime.errors import InternalError
from hyco.stepping.rewrites.nodes import drop_unused
from hyco.stepping.shapes import without_memory

aten = torch.ops.aten

# What gradients of torch change in place.
_OUT_OF_PLACE = {
    aten.logical_and_.default: aten.logical_and.default,
    aten.masked_fill_.Scalar: aten.masked_fill.Scalar,
}
# What needs the values of tensors: what it gives, or the shape of that, cannot be told beforehand.
_NEEDS_VALUES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_MASKS = {torch.bool, torch.uint8}
# A view that torch works out later, as a bit of the tensor, is worked out at once: symbols have no such bits.
_AT_ONCE = {aten._conj.default: aten._conj_physical.default, aten._neg_view.default: aten.neg.default}


class TracingError(InternalError):
    """A step cannot be recorded as a graph."""


@dataclass
class Recording:
    """A graph of tensor operations.

    Attributes:
        graph: of each node `meta["val"]` is the tensor without memory that it gives.
        constants: the tensors that `get_attr` nodes stand for.
    """

    graph: fx.Graph = field(default_factory=fx.Graph)
    constants: dict[str, Tensor] = field(default_factory=dict)


def record(
    run: Callable[..., Any], inputs: Sequence[Tensor], device: torch.device | str = "cpu", size: int | None = None
) -> Recording:
    """The graph of all operations that depend on the inputs; what does not is worked out now.

    Args:
        run: from tensors to one tensor, or to several.
        inputs: tensors like those that it takes; of their values nothing is asked.
        device: where it takes them to be.
        size: of a batch, of which multiples stand for those of other sizes: what they shape is kept too.

    Raises:
        TracingError: the values of tensors decide what it does, or it changes tensors in place.
    """
    recorder = _Recorder(torch.device(device), size)
    try:
        given = [recorder.input(value) for value in inputs]
        with recorder:
            results = run(*given)
        recorder.recording.graph.output(tree_map(recorder.node, results))
    except Exception as error:  # recording can fail in as many ways as a step can be written
        raise TracingError(str(error).split("\n")[0]) from error
    graph = recorder.recording.graph
    for node in graph.nodes:
        if node.target in _OUT_OF_PLACE and len(node.args[0].users) == 1:
            node.target = _OUT_OF_PLACE[node.target]  # nothing else sees what it changes
        schema = getattr(node.target, "_schema", None)
        if schema is not None and schema.is_mutable:
            raise TracingError(f"{node.target} changes a tensor in place")
    drop_unused(graph)
    return recorder.recording


class _Symbol(Tensor):
    """A tensor that is not worked out: a node of the graph, and a tensor of its shape without memory."""

    node: fx.Node
    like: Tensor

    @staticmethod
    def __new__(cls, node: fx.Node, like: Tensor, device: torch.device) -> _Symbol:
        made: _Symbol = Tensor._make_wrapper_subclass(
            cls,
            like.shape,
            like.stride(),
            like.storage_offset(),
            dtype=like.dtype,
            device=device,
        )
        made.node, made.like = node, like
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise TracingError(f"{func} on a tensor of a step that is recorded, outside of that")

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return self.clone()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"{type(self).__name__}({self.node})"


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes down each operation, and what it makes of shapes and types."""

    def __init__(self, device: torch.device, size: int | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device, self._size, self.recording = device, size, Recording()
        self._nodes: dict[int, fx.Node] = {}
        self._kept: list[Tensor] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import it, to leave this alone

    def input(self, value: Tensor) -> _Symbol:
        """The next input."""
        node, like = self.recording.graph.placeholder(f"input_{len(self.recording.graph.nodes)}"), _like(value)
        node.meta["val"] = like
        return _Symbol(node, like, self._device)

    def node(self, value: Any) -> Any:
        """What stands for a value in the graph: for a tensor that is known, a constant."""
        if isinstance(value, _Symbol):
            if value.node.graph is not self.recording.graph:
                raise TracingError("a tensor of another recording of the step was kept")
            return value.node
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self._nodes:
            self._nodes[id(value)] = self._constant(value)
            self._kept.append(value)  # so that no other tensor gets this id
        return self._nodes[id(value)]

    def _constant(self, value: Tensor) -> fx.Node:
        """The same node for equal tensors: what is worked out from it is worked out once."""
        like, constants = _like(value), self.recording.constants
        known: fx.Node
        for known in self.recording.graph.find_nodes(op="get_attr"):
            other = known.meta["val"]
            same_kind = (other.dtype, other.shape, other.stride()) == (like.dtype, like.shape, like.stride())
            if same_kind and torch.equal(constants[str(known.target)], value):
                return known
        name = f"constant_{len(constants)}"
        constants[name] = value
        node = self.recording.graph.create_node("get_attr", name, name=name)
        node.meta["val"] = like
        return node

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is aten.index.Tensor:
            args = args[0], _without_masks(args[1])
        if func in _AT_ONCE:
            func = _AT_ONCE[func]
            if not isinstance(args[0], Tensor):  # gradients take a factor's conjugate, which may be a plain number
                args = (
                    torch.tensor(args[0], dtype=torch.complex128 if isinstance(args[0], complex) else torch.float64),
                )
        flat, structure = tree_flatten((args, kwargs or {}))
        symbolic = any(isinstance(value, _Symbol) for value in flat)
        if symbolic and not _NEEDS_VALUES.isdisjoint(func.tags) and not _by_numbers(func, args):
            raise TracingError(f"{func.name()} needs the values of a tensor")
        if not symbolic and func._schema.is_mutable:
            raise TracingError(f"{func.name()} changes a tensor in place")
        if not symbolic and not any(is_multiple(value, self._size) for value in flat):
            return func(*args, **(kwargs or {}))
        given, keywords = tree_unflatten([self.node(value) for value in flat], structure)
        like, options = tree_unflatten([self._like(value) for value in flat], structure)
        if "device" in options or _makes_tensors(func, flat):
            options["device"] = "meta"
        made = without_memory(func, like, options)
        node = self.recording.graph.create_node("call_function", func, given, keywords, func.overloadpacket.__name__)
        node.meta["val"] = made
        if func._schema.is_mutable:
            args[0].node = node
        if isinstance(made, (tuple, list)):
            return type(made)(self._part(node, number, part) for number, part in enumerate(made))
        return self._symbol(node, made)

    def _part(self, node: fx.Node, number: int, made: Any) -> Any:
        if not isinstance(made, Tensor):
            return made
        part = self.recording.graph.call_function(operator.getitem, (node, number))
        part.meta["val"] = made
        return self._symbol(part, made)

    def _symbol(self, node: fx.Node, made: Any) -> Any:
        return _Symbol(node, made, self._device) if isinstance(made, Tensor) else made

    def _like(self, value: Any) -> Any:
        if isinstance(value, _Symbol):
            return value.like
        return _like(value) if isinstance(value, Tensor) else value


def _without_masks(indices: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Indices with the numbers of the elements that known masks select in their place, so that the shape is known."""
    numbers: list[Tensor | None] = []
    for index in indices:
        mask = index is not None and index.dtype in _MASKS and not isinstance(index, _Symbol)
        numbers += index.nonzero().unbind(1) if mask else [index]  # type: ignore[union-attr]
    return numbers


def _by_numbers(func: Any, args: Any) -> bool:
    """Whether an operation selects elements by their numbers alone, so many as there are numbers."""
    return func is aten.index.Tensor and all(i is None or i.dtype not in _MASKS for i in args[1])


def is_multiple(value: Any, size: int | None) -> bool:
    """Whether a value is a multiple of the batch size of a recording."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return bool(whole and size is not None and value != 0 and value % size == 0)


def _like(tensor: Tensor) -> Tensor:
    """A tensor of the same shape and type, without memory."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _makes_tensors(func: Any, flat: Sequence[Any]) -> bool:
    """Whether an operation makes a tensor of nothing, on a device that it is told."""
    return not any(isinstance(value, Tensor) for value in flat) and any(
        argument.name == "device" for argument in func._schema.arguments
    )
