"""What an operation makes of shapes and types: its result as a tensor without memory.

torch answers that for most operations by Python code, a tenth of a millisecond each, and imports SymPy for the first of
them, which takes half a second. So what is small is computed, of numbers that stand for those that nobody knows yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

# Beside what acts on each number by itself: results whose shapes and errors do not depend on the numbers.
_COMPUTED = {
    aten._fft_c2c.default,
    aten._fft_c2r.default,
    aten._fft_r2c.default,
    aten.bmm.default,
    aten.cat.default,
    aten.constant_pad_nd.default,
    aten.flip.default,
    aten.mm.default,
    aten.roll.default,
    aten.stack.default,
    aten.sum.dim_IntList,
}
# Up to so many numbers, given or made.
_FEW = 2**18


def without_memory(func: Any, args: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """What an operation gives, on the device `meta`.

    Args:
        func: of torch.
        args, keywords: of it, with tensors on that device.
    """
    if not _is_computed(func, args, keywords):
        return func(*args, **keywords)
    made = func(*map(_numbers, args), **{key: _numbers(value) for key, value in keywords.items()})
    return torch.empty_strided(made.shape, made.stride(), dtype=made.dtype, device="meta")


def _is_computed(func: Any, args: Sequence[Any], keywords: dict[str, Any]) -> bool:
    """Whether the operation is done, with few numbers, into new memory of one tensor on their device."""
    by_itself = torch.Tag.pointwise in func.tags and torch.Tag.nondeterministic_seeded not in func.tags
    if not (by_itself or func in _COMPUTED) or func._schema.is_mutable or "device" in keywords:
        return False
    returned = func._schema.returns
    if len(returned) != 1 or returned[0].alias_info is not None or str(returned[0].type) != "Tensor":
        return False
    given = [value.shape for value in _flat((*args, *keywords.values())) if isinstance(value, Tensor)]
    return bool(given) and sum(map(math.prod, given)) <= _FEW and _broadcast(given) <= _FEW


def _broadcast(shapes: Sequence[Sequence[int]]) -> int:
    """How many numbers a sum or product of tensors has, at most: that of a column and a row may be a large matrix."""
    return math.prod(max(sizes) for sizes in zip_longest(*map(reversed, shapes), fillvalue=1))


def _flat(values: Sequence[Any]) -> list[Any]:
    return [inner for value in values for inner in (value if isinstance(value, (list, tuple)) else (value,))]


def _numbers(value: Any) -> Any:
    """Ones, by which integers may be divided, with the type and the order in memory of a tensor."""
    if isinstance(value, (list, tuple)):
        return type(value)(_numbers(inner) for inner in value)
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype).fill_(1)
