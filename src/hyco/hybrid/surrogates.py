"""New states with the power spectra of states that were seen: their distribution, estimated from the data alone.

Each state is a sum of waves that keep the boundary conditions (`hyco.equations.initial_states.waves`): along a
periodic axis cosines and sines, between walls those that have no slope or no value there. A new state has random phases
and signs, and from shell to shell of wavenumbers the variance, and the covariance between channels, that the seen
states have.

Source: J. Theiler, S. Eubank, A. Longtin, B. Galdrikian and J. D. Farmer, Physica D 58 (1992), section 2.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.equations.initial_states import wall_field, waves
from hyco.fields import Layout

# How far beyond the values that were seen new ones may lie, as a part of their range.
_BEYOND = 0.25
# The mean in space of a channel that was seen in one simulation only varies by this part of the standard deviation.
_MEAN_VARIES = 0.1
# Part of the draws that have the spectrum of the first states, with which predictions begin.
_FIRST = 0.5


def has_spectra(layout: Layout) -> bool:
    """Whether states of a layout are sums of such waves: all channels at the centres of cells, within equal walls."""
    one_boundary = all(field.boundary == layout.fields[0].boundary for field in layout.fields)
    return layout.shape == layout.grid.resolution and one_boundary


@dataclass(frozen=True)
class Spectra:
    """What states of each time number are like.

    Attributes:
        layout: of the states, see `has_spectra`.
        root: R of each shell with R Rᵀ the covariance of the channels' coefficients there, `[G, K, C, C]`.
        freedom: coefficients that each covariance was estimated from, `[K]`.
        mean, mean_std: of the mean in space, `[G, C]`, and over simulations, where the waves have a constant one.
        lowest, highest: values that were seen, `[C]`.
    """

    layout: Layout
    root: Tensor
    freedom: Tensor
    mean: Tensor
    mean_std: Tensor
    lowest: Tensor
    highest: Tensor

    @classmethod
    def of(cls, states: Tensor, groups: Tensor, layout: Layout, noise: Tensor) -> Spectra:
        """The spectra of states `[N, C, *space]`.

        Args:
            groups: number of each, from 0 on, `[N]`; states with equal numbers are of one distribution.
            noise: variance of the noise that each has in every cell, `[N, C]`; it is taken off.
        """
        about = wall_field(layout.grid, layout.fields[0].walls)
        coefficients, shells = _to_waves(states - about, layout), _shells(layout)
        flat, shells = coefficients.flatten(2), shells.flatten()
        count = int(groups.max()) + 1
        members = torch.nn.functional.one_hot(groups, count).to(flat).T  # [G, N]
        each = members.sum(dim=1)
        average = members / each[:, None]
        constant = _constant(layout)
        if constant:
            level = flat[:, :, 0]
            mean = average @ level
            deviation = level - mean[groups]
            mean_std = (average @ deviation.square()).sqrt()
            flat = flat.clone()
            flat[:, :, 0] = 0.0
        else:
            mean = mean_std = flat.new_zeros(count, flat.shape[1])
        which = torch.nn.functional.one_hot(shells).to(flat)  # [M, K]
        if constant:
            which[0] = 0.0
        size = which.sum(dim=0)
        products = torch.einsum("ncm,ndm,mk->nkcd", flat, flat, which) / size.clamp_min(1)[:, None, None]
        cells = math.prod(layout.grid.resolution)
        covariance = torch.einsum("gn,nkcd->gkcd", average, products - torch.diag_embed(noise / cells)[:, None])
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp_min(0).sqrt()[..., None, :]
        if constant and int(each.max()) == 1:
            power = (root.square().sum(dim=-1) * size[:, None]).sum(dim=1)  # [G, C]
            mean_std = _MEAN_VARIES * power.sqrt()
        seen = states.transpose(0, 1).flatten(1)
        return cls(layout, root, size * float(each.min()), mean, mean_std, seen.amin(dim=1), seen.amax(dim=1))

    def draw(
        self, count: int, generator: torch.Generator, scale: tuple[float, float] = (1.0, 1.0)
    ) -> tuple[Tensor, Tensor]:
        """New states `[count, C, *space]` and the numbers `[count]` of the distributions that they are from.

        Half of them are of the first number, the others of any. A standard deviation that few coefficients tell varies
        from draw to draw as its estimate does. No value is beyond the seen ones by more than a quarter of their range:
        where one would, the state's deviations from its mean are smaller.

        Args:
            scale: range of a random factor on the deviations.
        """
        layout, (number, shells, channels) = self.layout, self.root.shape[:3]
        any_of = torch.randint(0, number, (count,), generator=generator)
        first = torch.rand(count, generator=generator) < _FIRST
        group = torch.where(first, 0, any_of)
        unsure = torch.randn((count, shells), generator=generator, dtype=torch.float64).clamp(-2, 2)
        factor = torch.exp(unsure / (2 * self.freedom.clamp_min(1)).sqrt())
        index = _shells(layout).flatten()
        noise = torch.randn((count, channels, len(index)), generator=generator, dtype=torch.float64)
        levels = torch.randn((count, channels), generator=generator, dtype=torch.float64)
        root = (self.root[group] * factor[..., None, None])[:, index]  # [count, M, C, C]
        flat = torch.einsum("nmcd,ndm->ncm", root, noise)
        level = self.mean[group] + self.mean_std[group] * levels
        if _constant(layout):
            flat[:, :, 0] = 0.0
        shape = [len(numbers) for numbers, _ in _axes(layout)]
        deviation = _from_waves(flat.reshape(count, channels, *shape), layout)
        lower, upper = scale
        if not lower == upper == 1:
            part = torch.rand(count, generator=generator, dtype=torch.float64)
            deviation = deviation * (lower + (upper - lower) * part).reshape(-1, *[1] * (deviation.ndim - 1))
        about = wall_field(layout.grid, layout.fields[0].walls) + level.reshape(*level.shape, *[1] * len(shape))
        return self._within_reach(deviation, about), group

    def _within_reach(self, deviation: Tensor, about: Tensor) -> Tensor:
        """States `[N, C, *space]` from their means and deviations, which are made smaller where they lead too far."""
        each = (-1, *[1] * (deviation.ndim - 2))
        about = about.clamp(self.lowest.reshape(each), self.highest.reshape(each))
        reach = _BEYOND * (self.highest - self.lowest)
        lowest, highest = self.lowest - reach, self.highest + reach
        # A sign that was never seen may be one that cannot be.
        lowest = torch.where(self.lowest >= 0, lowest.clamp_min(0), lowest).reshape(each)
        highest = torch.where(self.highest <= 0, highest.clamp_max(0), highest).reshape(each)
        room = torch.where(deviation > 0, highest - about, about - lowest).clamp_min(0)
        part = (room / deviation.abs().clamp_min(1e-300)).flatten(2).amin(dim=2).clamp_max(1)
        # Rounding is no reason for a negative number where none was seen.
        return (about + deviation * part.reshape(*part.shape, *[1] * (deviation.ndim - 2))).clamp(lowest, highest)


def _axes(layout: Layout) -> list[tuple[Tensor, Tensor]]:
    """Wavenumbers `[m]` and waves `[m, n]` along each axis."""
    grid, walls = layout.grid, layout.fields[0].walls
    return [waves(walls[axis], size, n) for axis, size, n in zip(grid.axes, grid.size, grid.resolution, strict=True)]


def _constant(layout: Layout) -> bool:
    """Whether the first wave is the constant."""
    return all(float(numbers[0]) == 0 for numbers, _ in _axes(layout))


def _shells(layout: Layout) -> Tensor:
    """The number of each wave's shell, `[*modes]`: its wavenumber in units of the smallest distance of two."""
    numbers = [numbers for numbers, _ in _axes(layout)]
    apart = [float((n.diff()[n.diff() > 0]).min()) if len(n) > 1 else math.inf for n in numbers]
    unit = min(apart) if math.isfinite(min(apart)) else 1.0
    squared = torch.zeros([len(n) for n in numbers], dtype=torch.float64)
    for i, n in enumerate(numbers):
        squared = squared + n.square().reshape([-1 if j == i else 1 for j in range(len(numbers))])
    return (squared.sqrt() / unit).round().long()


def _to_waves(states: Tensor, layout: Layout) -> Tensor:
    """Coefficients `[N, C, *modes]` of states `[N, C, *space]`."""
    for i, (_, shapes) in enumerate(_axes(layout)):
        states = (states.movedim(2 + i, -1) @ (shapes.T / shapes.shape[1])).movedim(-1, 2 + i)
    return states


def _from_waves(coefficients: Tensor, layout: Layout) -> Tensor:
    """The inverse of `_to_waves`, of what it keeps."""
    for i, (_, shapes) in enumerate(_axes(layout)):
        coefficients = (coefficients.movedim(2 + i, -1) @ shapes).movedim(-1, 2 + i)
    return coefficients
