"""How far a field is correlated: the most likely length of a Gaussian process, over a grid of lengths.

Source: C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning (2006), section 5.4.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Amplitudes that are tried, and noises where they are not known, in units of the values' standard deviation. Smaller
# noises are not told from the error of the covariance, which is only about right.
_AMPLITUDES = (1.0, 2**0.5, 2.0)
_NOISES = (0.01, 0.03, 0.1, 0.3, 1.0)
# Another length must be more likely by this much (in the logarithm) to be told from the one that is believed.
_TELLING = 2.0


@dataclass(frozen=True)
class Sample:
    """Values of one field at some places, less their mean.

    Attributes:
        positions: `[n, d]`.
        values: `[n]`.
        noise: standard deviation of theirs; None: not known.
    """

    positions: Tensor
    values: Tensor
    noise: float | None


@dataclass(frozen=True)
class Correlation:
    """The most likely length, and amplitudes by channel; `told` if the data tell the length from `believed`."""

    length: float
    amplitudes: list[float]
    told: bool


def most_likely(
    channels: Sequence[Sequence[Sample]],
    lengths: Sequence[float],
    believed: float,
    period: Sequence[float],
    amplitudes: Sequence[float | None],
) -> Correlation:
    """The length and amplitudes under which the samples are most likely; the covariance is a² exp(-r²/2l²) + σ² δ.

    Along a periodic axis r is the chord of the circle that the axis is bent to, so that the covariance is one.

    Args:
        channels: samples of each, at least one; several are independent fields with one amplitude.
        lengths: those that are tried.
        believed: the length where the data do not tell it.
        period: of each axis, 0 where it is not periodic.
        amplitudes: of each channel; None: from its samples, their standard deviation or more.
    """
    tried = [believed, *lengths]
    likelihood, best = [], []
    for length in tried:
        found = [_amplitude(samples, length, period, a) for samples, a in zip(channels, amplitudes, strict=True)]
        likelihood.append(sum(value for value, _ in found))
        best.append([amplitude for _, amplitude in found])
    at = max(range(len(tried)), key=lambda i: likelihood[i])
    told = likelihood[at] > likelihood[0] + _TELLING
    at = at if told else 0
    return Correlation(tried[at], best[at], told)


def _amplitude(
    samples: Sequence[Sample], length: float, period: Sequence[float], amplitude: float | None
) -> tuple[float, float]:
    """The logarithm of the likelihood, and the amplitude under which it is largest."""
    together = torch.cat([s.values for s in samples])
    scale = float(together.square().mean().sqrt()) or 1.0
    noise = samples[0].noise
    noises = [n * scale for n in _NOISES] if noise is None else [max(noise, _NOISES[0] * scale)]
    given = [a * scale for a in _AMPLITUDES] if amplitude is None else [amplitude]
    parts = [_spectrum(s, length, period) for s in samples]
    found = [(sum(_log_likelihood(*part, a, n) for part in parts), a) for a in given for n in noises]
    return max(found)


def _spectrum(sample: Sample, length: float, period: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Eigenvalues of the correlation matrix `[n]`, and the squared values along its eigenvectors `[n]`."""
    square = torch.zeros((len(sample.values),) * 2, dtype=torch.float64)
    for along, size in zip(sample.positions.unbind(dim=1), period, strict=True):
        distance = along[:, None] - along
        if size:
            distance = size / math.pi * torch.sin(math.pi * distance / size)
        square += distance.square()
    values, vectors = torch.linalg.eigh(torch.exp(-square / (2 * length**2)))
    return values.clamp_min(0.0), (vectors.T @ sample.values).square()


def _log_likelihood(values: Tensor, squares: Tensor, amplitude: float, noise: float) -> float:
    variance = amplitude**2 * values + noise**2
    return -0.5 * float((squares / variance + variance.log()).sum())
