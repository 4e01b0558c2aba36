"""How the energy of states is shared among wavenumbers, on a periodic box."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyco.fields import Layout
from hyco.grid import Grid


def energy_spectrum(states: ArrayLike, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The energy spectrum E(k) of fields on a periodic box.

    With the coefficients û(k) = 1/N Σ_j u_j exp(-i k·x_j), the shell of wavenumbers |k'| in k ± δ/2 has
    E(k) δ = Σ ½ |û(k')|², δ = 2π/L with the longest side L: Σ E(k) δ over all shells is the mean of ½ u².

    Args:
        states: `[*batch, C, *cells]` [value]; the channels, components of a vector, are added up, of the batch the mean
            is taken.
        grid: whose cells these are.

    Returns:
        k `[K]` [1/length], 0 first, to the largest that every axis resolves, π over the largest cell, and E `[K]`
        [value² length].
    """
    array = np.asarray(states, dtype=np.float64)
    axes = tuple(range(array.ndim - grid.dimensions, array.ndim))
    power = 0.5 * np.abs(np.fft.fftn(array, axes=axes) / grid.cells) ** 2
    power = power.sum(axis=axes[0] - 1).reshape(-1, *grid.resolution).mean(axis=0)
    waves = [2 * np.pi * np.fft.fftfreq(n, size / n) for n, size in zip(grid.resolution, grid.size, strict=True)]
    size = np.linalg.norm(np.meshgrid(*waves, indexing="ij"), axis=0)
    width = 2 * np.pi / max(grid.size)
    shells = np.rint(size / width).astype(np.int64)
    resolved = int(np.pi / max(grid.spacing) / width + 1e-9) + 1
    energy = np.bincount(shells.ravel(), power.ravel())[:resolved] / width
    return width * np.arange(len(energy), dtype=np.float64), energy


def spectra(
    rollouts: dict[str, NDArray[np.float64]], layout: Layout, channel: int
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]] | None:
    """Energy spectra of states, and of their errors, in the field that a channel belongs to.

    Args:
        rollouts: `truth` and the methods, `[*batch, C, *space]` each.
        layout: of the states.
        channel: one of the field's.

    Returns:
        k, the spectra of `truth` and the methods, and those of the methods' differences from the truth; None where
        there is no spectrum: the field is not periodic along every axis, on faces, or not known everywhere.
    """
    name = layout.channels[channel]
    field = next(field for field in layout.fields if name in field.channels)
    first = layout.channels.index(field.channels[0])
    if field.staggered or not all(field.walls[axis].periodic for axis in layout.grid.axes):
        return None
    space = tuple(slice(n) for n in layout.grid.resolution)
    cut: tuple[Any, ...] = (..., slice(first, first + len(field.channels)), *space)
    states = {method: np.asarray(values, dtype=np.float64)[cut] for method, values in rollouts.items()}
    if not np.isfinite(states["truth"]).all():
        return None
    states = {method: values for method, values in states.items() if np.isfinite(values).all()}
    errors = {method: values - states["truth"] for method, values in states.items() if method != "truth"}
    wavenumbers, _ = energy_spectrum(states["truth"], layout.grid)
    return (
        wavenumbers,
        {method: energy_spectrum(values, layout.grid)[1] for method, values in states.items()},
        {method: energy_spectrum(values, layout.grid)[1] for method, values in errors.items()},
    )
