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
    """Estimates of both models' error variances, and the real data's."""

    real: float
    physical: float
    synthetic: float
    validated: bool

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
        would be what is learnt.

        The physical model learns from the network only with such simulations: the network learnt from the same data,
        and its errors hang together over all its predictions. As measurements they would pull the parameters by many
        standard deviations.
        """
        network = physics = 1.0
        if not self.validated or _CLEARLY * self.physical < self.synthetic:
            network = inverse_variance_alpha(self.real, self.physical, self.synthetic)
        if self.validated and _CLEARLY * self.synthetic < self.physical:
            physics = inverse_variance_alpha(self.real, self.synthetic, self.physical)
        return Weights(network, physics)
