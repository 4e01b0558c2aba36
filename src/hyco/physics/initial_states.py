"""Random smooth initial states, which respect the boundary of the domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hyco.grid import Grid


def random_smooth_states(
    grid: Grid,
    channels: int,
    count: int,
    length_scale: float,
    amplitude: float,
    generator: torch.Generator,
    boundaries: Sequence[str] | None = None,
) -> Tensor:
    """Gaussian random fields `[count, channels, *space]`, float64.

    On a periodic box the covariance is Gaussian, ⟨u(x) u(x + r)⟩ = a² exp(-r²/2l²), so each Fourier mode k has a
    variance proportional to exp(-k²l²/2); the mean mode is left out and the variance of the sum is exactly a². Along
    an axis with another boundary a periodic field on the doubled axis is made odd (Dirichlet: zero on the wall) or
    even (Neumann: no slope at the wall).

    Args:
        length_scale: l, in units of length.
        amplitude: a, in units of the field.
        boundaries: per axis "periodic" (default), "neumann" or "dirichlet".
    """
    boundaries = boundaries or ["periodic"] * grid.dimensions
    doubled = [kind != "periodic" for kind in boundaries]
    shape = [n * (1 + twice) for n, twice in zip(grid.resolution, doubled, strict=True)]
    wavenumbers = [2 * np.pi * np.fft.fftfreq(n, h) for n, h in zip(shape, grid.spacing, strict=True)]
    squared = sum(k**2 for k in np.meshgrid(*wavenumbers, indexing="ij"))
    variance = torch.from_numpy(np.exp(-0.5 * np.asarray(squared) * length_scale**2))
    variance[(0,) * grid.dimensions] = 0.0
    variance = variance / variance.sum()
    noise = torch.randn((count, channels, *shape), generator=generator, dtype=torch.float64)
    axes = tuple(range(2, 2 + grid.dimensions))
    filtered = torch.fft.ifftn(torch.fft.fftn(noise, dim=axes) * variance.sqrt(), dim=axes).real
    states: Tensor = amplitude * filtered * float(np.sqrt(np.prod(shape)))
    for axis, (kind, n) in enumerate(zip(boundaries, grid.resolution, strict=True), start=2):
        if kind != "periodic":
            mirrored = states.flip(axis)
            states = (states - mirrored if kind == "dirichlet" else states + mirrored) / np.sqrt(2)
            states = states.narrow(axis, 0, n)
    return states
