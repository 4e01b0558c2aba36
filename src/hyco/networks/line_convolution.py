"""Convolutions along one axis that follow each other, as code of hyco's own, which is compiled where it is used."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

from hyco.runtime.libraries import compiled

log = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_suffix(".cpp")
# What is behind a wall, as in the source.
_PERIODIC, _MIRROR, _ZERO = range(3)
# Samples × cells × channels up to which one thread takes less time than several with torch's.
_FEW = 2**17


def walls(sides: tuple[bool, bool] | None) -> tuple[int, int]:
    """Those of an axis, see `hyco.networks.padding.mirrored_sides`."""
    if sides is None:
        return _PERIODIC, _PERIODIC
    lower, upper = (_MIRROR if mirrored else _ZERO for mirrored in sides)
    return lower, upper


@dataclass(frozen=True)
class Link:
    """A convolution of one state to the next, of how many there are before it.

    Attributes:
        convolution: without padding; its weights and bias are float32.
        activated: whether it takes the SiLU of the state.
        added: number of the state that is added to what it gives, 0 being the first; None: none is.
    """

    convolution: nn.Conv1d
    activated: bool = False
    added: int | None = None


class LineConvolutions:
    """From a state `[B, C, N]` through convolutions to the last one.

    Of the states between them those before the activations are kept for the gradient.

    Args:
        links: in turn.
        walls: see `walls`.

    Attributes:
        links, walls: as given.
    """

    def __init__(self, links: Sequence[Link], walls: tuple[int, int]) -> None:
        self._convolutions = [link.convolution for link in links]
        self._most = max(max(inner.in_channels, inner.out_channels) for inner in self._convolutions)
        numbers: list[int] = []
        for link, inner in zip(links, self._convolutions, strict=True):
            numbers += [inner.in_channels, inner.out_channels, inner.kernel_size[0], inner.dilation[0]]
            numbers += [int(link.activated), -1 if link.added is None else link.added]
        self.links, self.walls = tuple(links), walls
        self._numbers = (*walls, len(links), *numbers)

    def runs(self, x: Tensor) -> bool:
        """Whether there is code for states like these, which takes less time than torch's.

        In mixed precision there is none.
        """
        weight = self._convolutions[0].weight
        if x.device.type != "cpu" or x.dtype != torch.float32 or weight.dtype != torch.float32:
            return False
        if torch.is_autocast_enabled("cpu") or not _at_once(x):
            return False
        few = torch.get_num_threads() == 1 or len(x) * x.shape[2] * self._most <= _FEW
        return few and library() is not None

    def __call__(self, x: Tensor) -> Tensor:
        """The last state."""
        if torch.is_grad_enabled():
            return self._last(x)
        # The states between of a few samples at a time; no number depends on how many there are.
        parts = torch.split(x, max(1, _FEW // (x.shape[2] * self._most)))
        return self._last(x) if len(parts) == 1 else torch.cat([self._last(part) for part in parts])

    def _last(self, x: Tensor) -> Tensor:
        parameters = (p for inner in self._convolutions for p in (inner.weight, inner.bias))
        last: Tensor = _LineConvolutions.apply(_array(len(x), x.shape[2], *self._numbers), x, *parameters)  # type: ignore[no-untyped-call]
        return last


def _at_once(x: Tensor) -> bool:
    """Whether what is called with a tensor is computed at once, from numbers in memory.

    Not where torch compiles, exports or records what is called, maps it over a dimension, or derives it forward: it
    has to see each operation then.
    """
    if type(x) is not Tensor or torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    transformed = torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack() > 0
    return not transformed and forward_ad._current_level < 0


@cache
def library() -> ctypes.CDLL | None:
    """The compiled code; None, with a line in the log, where there is none."""
    try:
        found = compiled(_SOURCE.read_text(encoding="utf-8"))
    except Exception as error:  # compilers and caches can fail in as many ways as there are machines
        reason = str(getattr(error, "stderr", None) or error).split("\n")[0]
        log.info("Networks in one dimension take torch's convolutions, no code of hyco's own (%s).", reason)
        return None
    for function, count in ((found.forward, 5), (found.backward, 7)):
        function.argtypes, function.restype = [ctypes.c_void_p] * count, None
    return found


@lru_cache(maxsize=64)
def _array(*numbers: int) -> Any:
    return (ctypes.c_long * len(numbers))(*numbers)


def _pointers(tensors: Sequence[Tensor]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


class _LineConvolutions(torch.autograd.Function):
    """The last state, from what the source calls a chain, the first state, and weights and bias of each layer."""

    @staticmethod
    def forward(ctx: Any, chain: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        code, x, own = library(), x.contiguous(), [p.contiguous() for p in parameters]
        assert code is not None
        biases = own[1::2]
        between = x.new_empty(len(x) * x.shape[2] * sum(len(bias) for bias in biases[:-1]))
        y = x.new_empty(len(x), len(biases[-1]), x.shape[2])
        code.forward(chain, _pointers(own), x.data_ptr(), between.data_ptr(), y.data_ptr())
        ctx.save_for_backward(x, between, *own)
        ctx.chain = chain
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_y: Tensor) -> tuple[Tensor | None, ...]:
        x, between, *parameters = ctx.saved_tensors
        code, of_y, found = library(), of_y.contiguous(), [torch.empty_like(p) for p in parameters]
        assert code is not None
        of_x = torch.empty_like(x) if ctx.needs_input_grad[1] else None
        own, others = _pointers(parameters), _pointers(found)
        to = 0 if of_x is None else of_x.data_ptr()
        code.backward(ctx.chain, own, x.data_ptr(), between.data_ptr(), of_y.data_ptr(), to, others)
        return None, of_x, *found
