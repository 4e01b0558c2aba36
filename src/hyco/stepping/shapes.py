"""What an operation makes of shapes and types: its result as a tensor without memory.

torch answers that for most operations by Python code, a tenth of a millisecond each, and imports its compiler and SymPy
for the first of them, which takes a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._prims_common import compute_elementwise_output_strides

aten = torch.ops.aten


def without_memory(func: Any, args: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """What an operation gives, on the device `meta`.

    Args:
        func: of torch.
        args, keywords: of it, with tensors on that device.
    """
    made: Tensor | None = None
    if func is aten.cat.default:
        made = _joined(*args, **keywords)
    elif func is aten.roll.default and args[0].ndim:
        made = _in_order(args[0].shape, args[0].dtype, args[:1])
    elif torch.Tag.pointwise in func.tags and torch.Tag.nondeterministic_seeded not in func.tags:
        made = _elementwise(func, args, keywords)
    return func(*args, **keywords) if made is None else made


def _elementwise(func: Any, args: Sequence[Any], keywords: dict[str, Any]) -> Tensor | None:
    """Of numbers in the same places; the type is that of a single number, worked out. None: torch has to say it."""
    given = [value for value in (*args, *keywords.values()) if isinstance(value, Tensor)]
    if func._schema.is_mutable or not given or not keywords.keys().isdisjoint(("device", "memory_format")):
        return None
    one = func(*map(_single, args), **{key: _single(value) for key, value in keywords.items()})
    if not isinstance(one, Tensor):
        return None
    shape = given[0].shape
    if any(value.shape != shape for value in given):
        shape = torch.Size(np.broadcast_shapes(*(value.shape for value in given)))  # torch's own imports SymPy
    if all(value.is_contiguous() for value in given):
        return torch.empty(shape, dtype=one.dtype, device="meta")
    strides = compute_elementwise_output_strides(*(value.expand(shape) for value in given))
    return torch.empty_strided(shape, strides, dtype=one.dtype, device="meta")


def _single(value: Any) -> Any:
    """A number of a tensor's type; it has dimensions where that has some, on which types of results depend."""
    return torch.ones((1,) * value.ndim, dtype=value.dtype) if isinstance(value, Tensor) else value


def _joined(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    """Tensors one after the other; None: torch has to say it."""
    ranks = {value.ndim for value in tensors}
    if len(ranks) > 1 or 0 in ranks or not tensors[0].numel():
        return None
    sizes = [list(value.shape) for value in tensors]
    lengths = [size.pop(dim) for size in sizes]
    if any(size != sizes[0] for size in sizes):
        return None
    dtype = reduce(torch.promote_types, (value.dtype for value in tensors))
    axis = dim % tensors[0].ndim
    return _in_order([*sizes[0][:axis], sum(lengths), *sizes[0][axis:]], dtype, tensors)


def _in_order(shape: Sequence[int], dtype: torch.dtype, given: Sequence[Tensor]) -> Tensor | None:
    """A tensor whose memory has the order of its dimensions; None: that of the given tensors may decide."""
    if len(shape) > 3 and not any(value.is_contiguous() for value in given):  # the channels may come last
        return None
    return torch.empty(shape, dtype=dtype, device="meta")
