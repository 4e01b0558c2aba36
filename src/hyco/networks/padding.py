"""Convolutions that see the boundary as the equation does."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyco.networks.line_convolution import LineConvolutions, Link, library, walls

BOUNDARIES = ("periodic", "neumann", "dirichlet", "neumann-dirichlet", "dirichlet-neumann")

_CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {
    1: nn.Conv1d,
    2: nn.Conv2d,
    3: nn.Conv3d,
}
# Samples × channels × cells up to which torch's own convolution in one dimension is faster on a CPU than oneDNN's.
_SMALL = 2**15


def mirrored_sides(boundary: str) -> tuple[bool, bool] | None:
    """Whether the lower and the upper wall of an axis mirror values (else zeros are behind them); None: periodic."""
    if boundary == "periodic":
        return None
    lower, _, upper = boundary.partition("-")
    return lower == "neumann", (upper or lower) == "neumann"


def pad(x: Tensor, width: int, boundary: str, axis: int) -> Tensor:
    """Add `width` cells on both sides of one axis.

    Periodic: the cells of the other side, several times round if `width` exceeds the axis. Neumann: the outermost
    cell repeated, so that the gradient across the boundary is zero. Dirichlet: zeros. Two names: the lower and the
    upper side.
    """
    if width == 0:
        return x
    n = x.shape[axis]
    mirrors = mirrored_sides(boundary)
    if mirrors is None:
        if width > n:
            return x.index_select(axis, torch.arange(-width, n + width, device=x.device) % n)
        # Faster than F.pad(mode="circular"), forward and backward.
        return torch.cat([x.narrow(axis, n - width, width), x, x.narrow(axis, 0, width)], axis)
    shape = list(x.shape)
    shape[axis] = width
    ends = [
        x.narrow(axis, at, 1).expand(shape) if mirrored else x.new_zeros(shape)
        for mirrored, at in zip(mirrors, (0, n - 1), strict=True)
    ]
    return torch.cat([ends[0], x, ends[1]], axis)


def set_memory_format(module: nn.Module, memory_format: torch.memory_format) -> None:
    """Set the order in memory of the weights of two-dimensional convolutions, which their outputs have, too."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data = part.weight.data.contiguous(memory_format=memory_format)


def convolves_by_own_code(module: nn.Module) -> bool:
    """Whether there is code of hyco's own for convolutions of a network, see `hyco.networks.line_convolution`."""
    lines = [part.line for part in module.modules() if isinstance(part, Convolution) and part.line is not None]
    return bool(lines) and lines[0].links[0].convolution.weight.device.type == "cpu" and library() is not None


class Convolution(nn.Module):
    """A convolution `[B, in, *space]` to `[B, out, *space]`, padded by the boundary of each axis.

    Args:
        kernel_size: odd, in cells.
        boundaries: per axis one of `BOUNDARIES`.
        dilation: distance of the kernel's points, in cells.
        zero: start with weights and bias zero.

    Raises:
        ValueError: an even kernel, an unknown boundary, or a number of dimensions other than 1 to 3.

    Attributes:
        line: the same as code of hyco's own, where there is one dimension.
    """

    line: LineConvolutions | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        boundaries: Sequence[str],
        *,
        dilation: int = 1,
        zero: bool = False,
    ) -> None:
        super().__init__()
        if len(boundaries) not in _CONVOLUTIONS:
            raise ValueError(f"networks are for 1 to 3 dimensions, got the boundaries {list(boundaries)}")
        for boundary in boundaries:
            if boundary not in BOUNDARIES:
                raise ValueError(f"unknown boundary {boundary!r}; available: {', '.join(BOUNDARIES)}")
        if kernel_size % 2 == 0:
            raise ValueError(f"a kernel needs an odd size to be centred, got {kernel_size}")
        self.width = dilation * (kernel_size // 2)
        self.padded = [(2 + i, b) for i, b in enumerate(boundaries) if b != "dirichlet"]
        self.convolution = _CONVOLUTIONS[len(boundaries)](
            in_channels,
            out_channels,
            kernel_size,
            # Zeros are the one padding that the convolution does for nothing.
            padding=tuple(self.width if b == "dirichlet" else 0 for b in boundaries),  # type: ignore[arg-type]
            dilation=dilation,
            dtype=torch.float32,
        )
        if kernel_size > 1 and len(boundaries) == 2:
            # On a CPU an epoch takes 0.8 to 0.9 of the time with wide layers or on large grids, else the same.
            set_memory_format(self.convolution, torch.channels_last)
        # torch's own convolution, `thnn_conv2d`, has two dimensions, here one row of cells, and no dilation.
        self._as_plane = len(boundaries) == 1 and kernel_size > 1 and dilation == 1
        inner, self.line = self.convolution, None
        if isinstance(inner, nn.Conv1d):
            self.line = LineConvolutions([Link(inner)], walls(mirrored_sides(boundaries[0])))
        if zero:
            nn.init.zeros_(self.convolution.weight)
            assert self.convolution.bias is not None
            nn.init.zeros_(self.convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        if self.line is not None and self.line.runs(x):
            return self.line(x)
        for axis, boundary in self.padded:
            x = pad(x, self.width, boundary, axis)
        if self._as_plane and _own_is_faster(x):
            inner = self.convolution
            kernel, padding = [1, *inner.kernel_size], [0, *inner.padding]
            plane: Tensor = torch.ops.aten.thnn_conv2d.default(
                x.unsqueeze(2), inner.weight.unsqueeze(2), kernel, inner.bias, [1, 1], padding
            )
            return plane.squeeze(2)
        out: Tensor = self.convolution(x)
        return out


def _own_is_faster(x: Tensor) -> bool:
    """Whether torch's own convolution takes less time than oneDNN's, 0.4 to 0.8 of it: on a CPU, for few numbers.

    Only where hyco's cannot be compiled. For one sample torch takes its own by itself; in mixed precision there is
    oneDNN's only. An exported program is for any number of samples.
    """
    if torch.compiler.is_exporting() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    return library() is None and len(x) > 1 and x.numel() <= _SMALL
