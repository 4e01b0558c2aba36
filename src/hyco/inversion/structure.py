"""Whether the residuals of a fit are white noise: tests for correlation in time and in space, and for outliers.

Under white noise of unit variance the residuals have the covariance 1 - H, H = J (JᵀJ + PᵀP)⁻¹ Jᵀ, so that the sum
eᵀWe over pairs, W symmetric, has the mean tr M and the variance 2 tr M², M = W (1 - H). That is Moran's statistic, with
what the fit takes up of the noise allowed for.

Sources: P. A. P. Moran, Biometrika 37 (1950) 17, doi:10.2307/2332142; A. D. Cliff, J. K. Ord, Geographical Analysis 4
(1972) 267, doi:10.1111/j.1538-4632.1972.tb00475.x for residuals.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.special import bdtrc, ndtr  # scipy.stats takes half a second to import
from torch import Tensor

from hyco.inversion.assessment import LARGEST_DENSE
from hyco.inversion.correlated_noise import LARGEST, CorrelatedNoise
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.loss import Huber, robust_std
from hyco.inversion.noise_model import Observed, fitted_noise
from hyco.inversion.residual_places import Pairs, Places, pairs_in_space, pairs_in_time
from hyco.inversion.uncertainty import inverse_root

log = logging.getLogger(__name__)

# White noise fails each of the three tests as often as this.
SIGNIFICANCE = 0.005
# A residual beyond so many robust standard deviations is odd; of Gaussian ones 6 in 100 000 are.
ODD = 4.0
# Fewer degrees of freedom say nothing; and smaller residuals than this, in thousandths of the data's standard
# deviation, are no noise but the error of the search.
_LEAST_FREEDOM, _NO_NOISE = 10.0, 1e-2
# What a residual is taken to keep of its variance at least, for the test for outliers: how much the fit takes up
# depends on the noise, too.
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Correlations:
    """What pairs of neighbours say.

    Attributes:
        correlation: of the nearest.
        p: how often white noise has one as large, or larger.
        distances: of classes of pairs, the nearest first [time or length].
        correlations: of these.
        band: 95 % of white noise's are between - band and + band.
    """

    correlation: float
    p: float
    distances: list[float]
    correlations: list[float]
    band: list[float]

    @property
    def told(self) -> bool:
        """Whether white noise hardly ever has that."""
        return self.p < SIGNIFICANCE


@dataclass(frozen=True)
class Outliers:
    """The `share` of residuals beyond `beyond` robust standard deviations.

    `p` is how often Gaussian noise has as many of them, or one as large as the largest.
    """

    share: float
    p: float
    beyond: float = ODD

    @property
    def told(self) -> bool:
        """Whether Gaussian noise hardly ever has so many."""
        return self.p < SIGNIFICANCE


@dataclass(frozen=True)
class ResidualStructure:
    """How the residuals of the real data differ from white noise.

    Attributes:
        time, space: None where there are no neighbours.
        outliers: of all residuals that have noise.
        noise: the model of their covariance that error bars are made with; None where they are those of white noise:
            where no test tells of any other, or only of outliers, which an estimated noise or a robust loss has in it.
    """

    time: Correlations | None
    space: Correlations | None
    outliers: Outliers
    noise: CorrelatedNoise | None = None

    @property
    def white(self) -> bool:
        """Whether no test tells of correlation."""
        return not any(part is not None and part.told for part in (self.time, self.space))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: None if (part := getattr(self, name)) is None else dict(vars(part)) for name in _PARTS}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ResidualStructure:
        """The inverse of `to_json`."""
        parts: dict[str, Any] = {n: None if data[n] is None else kind(**data[n]) for n, kind in _PARTS.items()}
        return cls(**parts)


_PARTS: dict[str, Any] = {"time": Correlations, "space": Correlations, "outliers": Outliers, "noise": CorrelatedNoise}


@torch.no_grad()
def residual_structure(problem: InverseProblem, coordinates: Tensor) -> ResidualStructure | None:
    """The tests at a point `[q]`, and a model of the correlation where they tell of one.

    Of a robust loss residuals count as it feels them, else none counts as more than four robust standard deviations.

    Returns:
        None where there are too few residuals or too many unknowns, or where there is no noise.
    """
    if len(coordinates) > LARGEST_DENSE:
        log.info("Residuals are not tested for correlation: that takes at most %d unknowns.", LARGEST_DENSE)
        return None
    linear, data = problem.linearised(coordinates), problem.data
    residual, jacobian = (v.cpu() for v in linear.dense())
    _, prior = (v.cpu() for v in linear.prior())
    if not bool(residual.isfinite().all() and jacobian.isfinite().all()):
        return None
    inverse, _ = inverse_root(torch.cat([jacobian, prior]))
    places, fit = Places.of(data, problem.steps), jacobian @ inverse
    if linear.noisy is not None:
        noisy = linear.noisy.cpu()
        residual, fit, places = residual[noisy], fit[noisy], places.select(noisy)
    freedom = len(residual) - float(fit.square().sum())
    quiet = not linear.known_noise and float(residual.square().mean()) < _NO_NOISE**2
    if freedom < _LEAST_FREEDOM or quiet:
        return None
    known = linear.known_noise
    scaled = _scaled(residual, places, freedom / len(residual), known_noise=known)
    # Those that the fit takes up in part have a smaller standard deviation.
    studentised = residual / (1 - fit.square().sum(dim=1)).clamp_min(_LEAST_SHARE).sqrt()
    outliers = _outliers(_scaled(studentised, places, 1.0, known_noise=known), known_noise=known)
    felt = problem.loss.pull(residual) if isinstance(problem.loss, Huber) else scaled.clamp(-ODD, ODD)
    white = WhiteResiduals(felt, fit)
    observed = [white.observed(pairs_in_time(places)), white.observed(pairs_in_space(places))]
    time, space = (white.correlations(part) for part in observed)
    noise = None
    if (time and time.told) or (space and space.told):
        told = [o if c and c.told else [] for o, c in zip(observed, (time, space), strict=True)]
        noise = _noise(white, places, told[0], told[1])
    elif outliers.told:
        noise = CorrelatedNoise(0.0, None, "exponential", None, "exponential")
    if noise is not None and linear.known_noise and not isinstance(problem.loss, Huber):
        chi_square = float(residual.square().sum()) / freedom
        noise = replace(noise, variance=max(noise.variance * chi_square, 1.0))
    if noise is not None and noise.share == 0 and noise.variance == 1:
        noise = None
    return ResidualStructure(time, space, outliers, noise)


class WhiteResiduals:
    """What pairs of residuals would be if the noise were white.

    Args:
        residual: `[N]`.
        fit: G `[N, q]` with H = G Gᵀ.
    """

    def __init__(self, residual: Tensor, fit: Tensor) -> None:
        self.residual, self.fit = residual, fit
        self.freedom = len(residual) - float(fit.square().sum())
        self.variance = float(residual.square().sum()) / self.freedom

    def observed(self, classes: Sequence[Pairs]) -> list[Observed]:
        """Correlation of each class of pairs, and its standard deviation if the noise is white."""
        return [Observed(pairs, *self._moments(pairs)) for pairs in classes]

    def correlations(self, observed: Sequence[Observed]) -> Correlations | None:
        """The test of the nearest pairs."""
        if not observed:
            return None
        first = observed[0]
        p = float(ndtr(-first.correlation / first.std))
        distances = [o.pairs.distance for o in observed]
        band = [1.96 * o.std for o in observed]
        return Correlations(first.correlation, p, distances, [o.correlation for o in observed], band)

    def _moments(self, pairs: Pairs) -> tuple[float, float]:
        e, count = self.residual, len(pairs)
        total = float((e[pairs.first] * e[pairs.second]).sum()) / self.variance
        # W G, with W = 1/2 at both places of each pair; tr W (1 - H) = - tr Gᵀ W G.
        size = (len(e), len(e))
        upper = csr_array((np.full(count, 0.5), (pairs.first.numpy(), pairs.second.numpy())), shape=size)
        image = torch.from_numpy((upper + upper.T) @ self.fit.numpy())
        inner = self.fit.T @ image
        mean = -float(inner.trace())
        square = 2 * (count / 2 - 2 * float(image.square().sum()) + float(inner.square().sum()))
        # The variance was estimated from the same residuals.
        square = (square - 2 * mean**2 / self.freedom) * self.freedom / (self.freedom + 2)
        return (total - mean) / count, math.sqrt(max(square, 1e-12)) / count


def _noise(
    white: WhiteResiduals, places: Places, time: Sequence[Observed], space: Sequence[Observed]
) -> CorrelatedNoise | None:
    """The model whose pairs, less what the fit takes up of such noise, are those observed."""
    if space and not places.on_grid and max(len(numbers) for numbers in places.groups()) > LARGEST:
        log.warning(
            "Residuals are correlated in space, but a simulation has more than %d of them: intervals are those of "
            "white noise, and too narrow.",
            LARGEST,
        )
        return None
    taken, noise = [0.0] * (len(time) + len(space)), None
    for _ in range(5):
        noise = fitted_noise(time, space, taken)
        image = noise.off_diagonal(places, white.fit)
        mixed = white.fit @ (white.fit.T @ image)
        # tr of (1 - H)(R - 1)(1 - H), and of its pairs less those of R - 1.
        own = -2 * float((white.fit * image).sum()) + float((white.fit * mixed).sum())
        variance = white.freedom / max(white.freedom + own, 0.1 * white.freedom)
        noise = replace(noise, variance=max(variance, 1.0))
        rest = mixed / 2 - image
        for at, o in enumerate((*time, *space)):
            a, b = o.pairs.first, o.pairs.second
            lost = float((white.fit[a] * rest[b]).sum() + (white.fit[b] * rest[a]).sum()) / len(o.pairs)
            # The sums were taken in units of the residuals' variance, which is smaller than the noise's.
            taken[at] = -lost + (1 / variance - 1) * o.correlation
    return noise


def _scaled(residual: Tensor, places: Places, share: float, *, known_noise: bool) -> Tensor:
    """Residuals in robust standard deviations: of all where the noise is known, at least of that; else by channel."""
    scaled = residual.clone()
    channels = [torch.arange(len(residual))]
    if not known_noise:
        channels = [(places.channel == c).nonzero().flatten() for c in range(int(places.channel.max()) + 1)]
    for numbers in channels:
        if not (n := len(numbers)):
            continue
        least = 1.0 if known_noise else 1e-300
        scaled[numbers] /= max(robust_std(residual[numbers], round(n * (1 - share))), least)
    return scaled


def _outliers(scaled: Tensor, *, known_noise: bool) -> Outliers:
    """The test for outliers; the median of few residuals of unknown noise is not sure, which is allowed for."""
    n = len(scaled)
    doubt = 1.0 if known_noise else 1 + 2 * 1.17 / math.sqrt(n)
    size = scaled.abs() / doubt
    count, largest = int((size > ODD).sum()), float(size.max())
    many = float(bdtrc(count - 1, n, 2 * ndtr(-ODD))) if count else 1.0
    # One alone may be so large that it is none of the others'.
    large = float(bdtrc(0, n, 2 * ndtr(-largest)))
    return Outliers(int((scaled.abs() > ODD).sum()) / n, min(2 * min(many, large), 1.0))
