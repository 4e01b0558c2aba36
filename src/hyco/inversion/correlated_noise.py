"""Noise that is correlated in time or space: a model of it, its covariance, and what it does to error bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hyco.inversion.assessment import Assessment, without_initial_states
from hyco.inversion.identifiability import identifiability
from hyco.inversion.linearisation import Linearisation
from hyco.inversion.residual_places import Places
from hyco.inversion.uncertainty import INTERVAL, inverse_root
from hyco.parameters import ParameterSpace

Shape = Literal["exponential", "gaussian"]
# Rows of a covariance that are held at once, and residuals of one simulation and channel, beyond the grid, that it is
# made for.
_ROWS, LARGEST = 512, 20_000


@dataclass(frozen=True)
class CorrelatedNoise:
    """R = (1 - a) 1 + a T ∘ X: noise of which the part a is correlated, in time by T and in space by X.

    T and X are exp(-d/l) or exp(-d²/l²) with the distance d of two measurements and a length l. Without a length in
    time measurements at other times are not correlated, without one in space those of other sensors. Other simulations
    and channels are not.

    Attributes:
        share: a.
        duration, time_shape: l [time] and form of T; None: none.
        length, space_shape: l [length] and form of X; None: none.
        variance: of the residuals, over that which the error bars without correlation take.
    """

    share: float
    duration: float | None
    time_shape: Shape
    length: float | None
    space_shape: Shape
    variance: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CorrelatedNoise:
        """The inverse of `to_json`."""
        return cls(**data)

    def off_diagonal(self, places: Places, vectors: Tensor) -> Tensor:
        """(R - 1) V `[N, k]` for V `[N, k]`."""
        product = torch.empty_like(vectors)
        for numbers in places.groups():
            of_grid = places.on_grid or self.length is None
            apply = self._on_grid if of_grid else self._dense
            product[numbers] = self.share * (apply(places, numbers, vectors[numbers]) - vectors[numbers])
        return product

    def _dense(self, places: Places, numbers: Tensor, vectors: Tensor) -> Tensor:
        """(T ∘ X) V for the residuals of one simulation and channel, row by row."""
        parts = []
        for rows in torch.split(numbers, _ROWS):
            if self.length is None:
                near = (places.sensor[rows, None] == places.sensor[numbers]).double()
            else:
                near = _shaped(places.distances(rows, numbers), self.length, self.space_shape)
            if self.duration is None:
                near = near * (places.state[rows, None] == places.state[numbers])
            else:
                apart = (places.time[rows, None] - places.time[numbers]).abs()
                near = near * _shaped(apart, self.duration, self.time_shape)
            parts.append(near @ vectors)
        return torch.cat(parts)

    def _on_grid(self, places: Places, numbers: Tensor, vectors: Tensor) -> Tensor:
        """The same for measurements of the same entries: first in time, then in space."""
        state, entry = places.state[numbers], places.entry[numbers]
        states, row = _numbered(state)
        if places.on_grid:
            size, column = math.prod(places.shape), entry
        else:
            size, column = _numbered(places.sensor[numbers])
        field = vectors.new_zeros((states, size, vectors.shape[1]))
        field[row, column] = vectors
        if self.duration is not None:
            times = vectors.new_zeros((states, size))
            times[row, column] = places.time[numbers]
            field = self._in_time(times, field, common=_numbered(places.time[numbers])[0] == states)
        if self.length is not None:
            field = self._in_space(places, field)
        return field[row, column]

    def _in_time(self, times: Tensor, field: Tensor, *, common: bool) -> Tensor:
        assert self.duration is not None
        if common:
            line = times.amax(dim=1)
            kernel = _shaped((line[:, None] - line).abs(), self.duration, self.time_shape)
            return (kernel @ field.flatten(1)).reshape(field.shape)
        kernels = _shaped((times.T[:, :, None] - times.T[:, None]).abs(), self.duration, self.time_shape)
        return torch.einsum("ntu,unk->tnk", kernels, field)

    def _in_space(self, places: Places, field: Tensor) -> Tensor:
        """X as a convolution, by transforms over twice the extent, so that nothing comes around that should not."""
        assert self.length is not None
        square = field.new_zeros([1] * len(places.shape))
        for axis, (n, h, period) in enumerate(zip(places.shape, places.spacing, places.period, strict=True)):
            lag = torch.arange(2 * n, dtype=field.dtype)
            apart = h * torch.minimum(lag, 2 * n - lag)
            apart = torch.minimum(apart, (period - apart).abs()) if period else apart
            square = square + apart.square().reshape([-1 if i == axis else 1 for i in range(len(places.shape))])
        kernel = torch.fft.rfftn(_shaped(square.sqrt(), self.length, self.space_shape))
        dims = tuple(range(1, 1 + len(places.shape)))
        double = [2 * n for n in places.shape]
        shaped = field.reshape(len(field), *places.shape, -1)
        spectrum = torch.fft.rfftn(shaped, s=double, dim=dims) * kernel[..., None]
        whole = torch.fft.irfftn(spectrum, s=double, dim=dims)
        part: Tensor = whole[(slice(None), *(slice(0, n) for n in places.shape))]
        return part.reshape(field.shape)


def _numbered(keys: Tensor) -> tuple[int, Tensor]:
    """How many different keys there are, and the number of each among them, `[N]`."""
    different, numbers = np.unique(keys.numpy(), return_inverse=True)
    return len(different), torch.from_numpy(numbers)


def _shaped(distance: Tensor, length: float, shape: Shape) -> Tensor:
    ratio = distance / length
    return (-ratio).exp() if shape == "exponential" else (-ratio.square()).exp()


@torch.no_grad()
def widened(
    assessment: Assessment, linear: Linearisation, places: Places, noise: CorrelatedNoise, space: ParameterSpace
) -> Assessment:
    """The assessment with the covariance of a fit that took the noise for white and met correlated noise.

    With V = (JᵀJ + PᵀP)⁻¹ it is V (Jᵀ R J + PᵀP) V, the sandwich, J in units of the noise; in no direction is it less
    than V. Where there was no information there is none.

    Args:
        places: of all residuals of the real data.

    Source: P. J. Huber, Proc. Fifth Berkeley Symp. 1 (1967) 221; W. K. Newey and K. D. West, Econometrica 55 (1987)
    703, doi:10.2307/1913610, with a parametric R in place of their kernel.
    """
    white, p = assessment.uncertainty, linear.parameter_count
    _, jacobian = (v.cpu() for v in linear.dense())
    _, prior = (v.cpu() for v in linear.prior())
    effective = white.precision * jacobian
    root, loose = inverse_root(torch.cat([effective, prior]))
    slopes = effective @ root
    noisy = torch.ones(len(slopes), dtype=torch.bool) if linear.noisy is None else linear.noisy.cpu()
    own = slopes[noisy]
    more = own.T @ noise.off_diagonal(places.select(noisy), own)
    # V in its own units is 1, so that what is added to it is the excess of the noise alone.
    excess = (noise.variance - 1) * own.T @ own + noise.variance * more
    values, vectors = torch.linalg.eigh((excess + excess.T) / 2)
    # Added to what is there, which where a prior came from the data is more than V.
    assert assessment.joint is not None
    spread = root @ (vectors * values.clamp_min(0.0).sqrt())
    joint = assessment.joint + spread @ spread.T
    joint[loose, loose] = torch.inf
    uncertainty = replace(white, covariance=joint[:p, :p])
    ratio = torch.nan_to_num(white.std / uncertainty.std, nan=1.0)
    data = without_initial_states(effective / (white.quantile / (INTERVAL / 2)), prior, p) * ratio
    return replace(
        assessment,
        uncertainty=uncertainty,
        identifiability=identifiability(data, space.width, space.labels),
        pull=assessment.pull * ratio,
        joint=joint,
        white=white.std,
    )
