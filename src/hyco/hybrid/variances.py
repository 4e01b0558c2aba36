"""Error variances of both models of a hybrid, and what `alpha: auto` makes of them; see `hyco.hybrid.trust`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Below this share a group is left out: it would cost its computation and change nothing.
_NEGLIGIBLE = 0.01
# On validation data the other model must have so much less variance to count: a third of the error.
_CLEARLY = 9.0


def inverse_variance_alpha(real: float, other: float, own: float) -> float:
    """Weight α of the real data for a model with error variance `own`.

    Real data have the error variance `real`, the other model's predictions `other`. Each target is as precise as the
    sum of its own variance and of what the model itself is off by: α = p_r / (p_r + p_o), p = 1 / (variance + own).
    As long as the model is worse than both, they count the same; in the end the more precise counts more. A weight
    below a hundredth becomes zero, and where the other variance is not finite, α is 1.
    """
    if not math.isfinite(other):
        return 1.0
    if not math.isfinite(own):
        return 0.5
    total = real + other + 2 * own
    alpha = 0.5 if total <= 0 else (other + own) / total
    if alpha > 1 - _NEGLIGIBLE:
        return 1.0
    return 0.0 if alpha < _NEGLIGIBLE else alpha


@dataclass(frozen=True)
class Weights:
    """Weight α of the real data in the training of each model."""

    network: float
    physics: float


@dataclass(frozen=True)
class Variances:
    """Estimates of both models' error variances, and the real data's.

    Attributes:
        real: of the real data.
        physical, synthetic: of both models, along whole simulations.
        validated: whether the network's is one on validation data.
        window: training windows' part of the length of a simulation.
        resolution: the variance that the noise in the validation data hides, or that counts as none where there is no
            noise.
    """

    real: float
    physical: float
    synthetic: float
    validated: bool
    window: float = 1.0
    resolution: float = 0.0

    def to_dict(self) -> dict[str, float | bool | None]:
        """As JSON values, which know no infinity: None is an infinite variance."""
        return {k: v if math.isfinite(v) else None for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Variances:
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {k: math.inf if v is None else v for k, v in stored.items()}
        return cls(**values)

    @property
    def physics_is_better(self) -> bool:
        """Whether the physical model predicts better."""
        return self.physical < self.synthetic

    @property
    def weights(self) -> Weights:
        """What `alpha: auto` is.

        Where there are validation simulations, a model whose error on them is more than a third of the other's has
        nothing to teach it: 1. Its errors are no noise that would average out, and near the end of the training they
        would be what is learnt. That does not hold for a physical model in which the validation data show no error:
        the network comes so close to it that they cannot tell the two apart, and is to come closer. Its predictions
        then are targets of the variance that they have, however far off the network still is.

        Training windows are shorter than simulations, and errors grow at least in proportion to the time: there the
        variances are those of whole simulations times the square of the windows' part of their length.

        The physical model learns from the network only with such simulations: the network learnt from the same data,
        and its errors hang together over all its predictions. As measurements they would pull the parameters by many
        standard deviations.
        """
        network = physics = 1.0
        theirs, own = (self.window**2 * variance for variance in (self.physical, self.synthetic))
        faultless = self.physical < self.resolution and math.isfinite(self.synthetic)
        if not self.validated or faultless or _CLEARLY * self.physical < self.synthetic:
            real, own = (max(self.real, self.resolution), 0.0) if faultless else (self.real, own)
            network = inverse_variance_alpha(real, theirs, own)
        if self.validated and _CLEARLY * self.synthetic < self.physical:
            physics = inverse_variance_alpha(self.real, own, theirs)
        return Weights(network, physics)
