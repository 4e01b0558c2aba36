"""Fourier coefficients of real fields on a periodic box, half of them, as those say all."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from phi import math
from phi.math import spatial
from torch import Tensor

from hyco.grid import Grid

# The part of the wavenumbers that is kept, so that no product of two is aliased: the 2/3 rule.
KEPT = 2 / 3
_ROUNDING = 1 - 1e-12


class Spectrum:
    """The fast transform of real values to complex coefficients, along the last axis those of wavenumbers ≥ 0.

    Args:
        grid: every axis of it is periodic.

    Attributes:
        wavenumbers: k along each axis of each coefficient that is kept, 0 of others, arrays by axis [1/length].
        squared: k² of each coefficient, summed over the axes, a PhiML tensor on the axes [1/length²].
        kept: 1 where a coefficient is kept, 0 elsewhere.
        derivatives: by axis, what the coefficients of a derivative are multiplied by: ik; 0 where they are not kept.
    """

    def __init__(self, grid: Grid) -> None:
        self._axes, self._resolution, self._space = grid.axes, grid.resolution, spatial(",".join(grid.axes))
        numbers = [2 * np.pi * np.fft.fftfreq(n, h) for n, h in zip(grid.resolution, grid.spacing, strict=True)]
        numbers[-1] = 2 * np.pi * np.fft.rfftfreq(grid.resolution[-1], grid.spacing[-1])
        meshes = np.meshgrid(*numbers, indexing="ij")
        low = [np.abs(k) * h < KEPT * np.pi * _ROUNDING for k, h in zip(meshes, grid.spacing, strict=True)]
        kept = np.all(low, axis=0).astype(np.float64)
        self.squared = math.wrap(np.asarray(sum(k**2 for k in meshes)), self._space)
        self.kept = math.wrap(kept, self._space)
        self.wavenumbers = {axis: k * kept for axis, k in zip(grid.axes, meshes, strict=True)}
        self.derivatives = {axis: math.wrap(1j * k, self._space) for axis, k in self.wavenumbers.items()}

    def forward(self, values: Any) -> Any:
        """The coefficients of values in the cells, also those that are not kept."""
        native, others = self._native(values)
        return math.wrap(torch.fft.rfftn(native, dim=self._dims), others, self._space)

    def backward(self, coefficients: Any) -> Any:
        """The values of coefficients in the cells."""
        native, others = self._native(coefficients)
        return math.wrap(torch.fft.irfftn(native, self._resolution, self._dims), others, self._space)

    @property
    def _dims(self) -> list[int]:
        return list(range(-len(self._axes), 0))

    def _native(self, values: Any) -> tuple[Tensor, Any]:
        """A PhiML tensor as one of torch with the axes last, and its other dimensions."""
        others = math.shape(values).without(self._axes)
        return torch.as_tensor(values.native([*others.names, *self._axes])), others
