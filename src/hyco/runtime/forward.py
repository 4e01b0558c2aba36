"""Forward differentiation in one thread at a time: torch has one level of it for the whole process."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

import torch
from torch import Tensor

_ONE_AT_A_TIME = RLock()


def jacobian(function: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """∂ function / ∂ point, `[*values, *point]`, see `torch.func.jacfwd`."""
    with _ONE_AT_A_TIME:
        result: Tensor = torch.func.jacfwd(function)(point)
    return result


def tangent(function: Callable[[Tensor], Tensor], point: Tensor, direction: Tensor) -> Tensor:
    """The derivative of a function along a direction, see `torch.func.jvp`."""
    with _ONE_AT_A_TIME:
        result: Tensor = torch.func.jvp(function, (point,), (direction,))[1]
    return result
