"""How far each model of a hybrid is to be trusted: error variances, and the weights that `alpha: auto` makes of them.

All variances are mean squares of (H(u) - y)/σ over measured entries, along rollouts from t = 0 over whole simulations,
in units of the noise variance σ² per channel (for noise-free data of the unit that replaces it). Known noise is taken
off, so that a perfect model has 0. Where some channels have noise, the others (constant ones) are left out: σ there is
not the noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.calibrator import Calibrator
from hyco.losses import mean_square
from hyco.observations import Observations
from hyco.runtime.random_streams import stream
from hyco.trained_model import TrainedModel

# Below this share a group is left out: it would cost its computation and change nothing.
_NEGLIGIBLE = 0.01
# On validation data the other model must have so much less variance to count: a third of the error.
_CLEARLY = 9.0
# A model whose mean square on validation data is lower by less than this part is not better.
_WORTHWHILE = 0.01
# Draws of the parameters that tell how far their uncertainty spreads the predictions.
_DRAWS = 8


def inverse_variance_alpha(real: float, other: float, own: float) -> float:
    """Weight α of the real data for a model with error variance `own`.

    Real data have the error variance `real`, the other model's predictions `other`. Each target is as precise as the
    sum of its own variance and of what the model itself is off by: α = p_r / (p_r + p_o), p = 1 / (variance + own).
    As long as the model is worse than both, they count the same; in the end the more precise counts more. A weight
    below a hundredth becomes zero, and where the other variance is not known, α is 1.
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


class Misfit:
    """Error variance of a model on some simulations."""

    def __init__(self, observations: Observations, simulations: list[int]) -> None:
        mask = observations.mask[simulations, 1:] & observations.tells_noise_of_entries
        self.available = bool(simulations) and bool(mask.any())
        if not self.available:
            return
        self._starts = observations.initial_states[simulations]
        self._values, self._mask = observations.values[simulations, 1:], mask
        self._operator = observations.operator(simulations, 1, observations.steps)
        self._unit = observations.unit_of_entries
        self._noise = 1.0 if observations.noise_known else 0.0

    @torch.no_grad()
    def __call__(self, model: TrainedModel) -> float:
        """The variance; infinity where a prediction is not finite."""
        error = (self._operator(model.rollout(self._starts, self._values.shape[1])) - self._values) / self._unit
        excess = torch.where(self._mask, error.square() - self._noise, torch.zeros_like(error))
        found = float(excess.sum() / self._mask.sum())
        return max(found, 0.0) if math.isfinite(found) else math.inf


@dataclass(frozen=True)
class Weights:
    """Weight α of the real data in the training of each model."""

    network: float
    physics: float


@dataclass(frozen=True)
class Variances:
    """What is known of both models' error variances, and of the real data's."""

    real: float
    physical: float
    synthetic: float
    validated: bool

    def to_dict(self) -> dict[str, float | bool | None]:
        """As JSON values, which know no infinity: None is an infinite variance."""
        return {k: v if math.isfinite(v) else None for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Variances:
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {k: math.inf if v is None else v for k, v in found.items()}
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


class Trust:
    """Estimates the error variances of a hybrid's two models from what was measured.

    - The network's: on the validation simulations; without them on the training simulations, where it may look better
      than it is.
    - The physical model's: on the training simulations (its residuals), or on the validation simulations if it is
      larger there; plus the spread of predictions that the covariance of its parameters allows.
    """

    def __init__(self, observations: Observations, seed: int) -> None:
        self.seed = seed
        self.training = Misfit(observations, observations.train)
        self.validation = Misfit(observations, observations.val)
        self.real = 1.0 if observations.noise_known else 0.0
        self._starts, self._steps = observations.initial_states[observations.train], observations.steps
        told = observations.tells_noise.reshape(observations.unit.shape)
        self._counted = observations.layout.valid & told
        self._known: tuple[Tensor, float] | None = None

    def is_better(self, variance: float, than: float) -> bool:
        """Whether one validation variance is below another by more than the noise in it lets happen."""
        # The noise is in both mean squares again: near 0 a variance is the difference of two numbers near 1.
        return variance + self.real < (1 - _WORTHWHILE) * (than + self.real)

    def variances(self, synthetic: TrainedModel, physical: Calibrator) -> Variances:
        """Of both models as they are."""
        validated = self.validation.available
        network = (self.validation if validated else self.training)(synthetic)
        return Variances(self.real, self._physical(physical), network, validated)

    def _physical(self, physical: Calibrator) -> float:
        """The physical model's; computed again only when its coordinates have changed."""
        if self._known is None or not torch.equal(self._known[0], physical.model.coordinates):
            found = self.training(physical.model)
            if self.validation.available:
                found = max(found, self.validation(physical.model))
            self._known = physical.model.coordinates.clone(), found + self._spread(physical)
        return self._known[1]

    def _spread(self, physical: Calibrator) -> float:
        """Variance of the predictions over draws of the parameters from their covariance; 0 where there is none."""
        covariance = physical.model.covariance()
        if covariance is None:
            return 0.0
        # Eigenvalues, not Cholesky: a direction may be known exactly.
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp_min(0).sqrt()
        noise = torch.randn((_DRAWS, len(root)), generator=stream(self.seed, "trust"), dtype=root.dtype)
        draws = physical.model.theta + noise @ root.T
        best = physical.model.rollout(self._starts, self._steps)
        spread = physical.model.rollout_draws(self._starts, self._steps, draws) - best
        found = float(mean_square(spread / physical.problem.data.sigma.cpu(), self._counted.expand(spread.shape)))
        return found if math.isfinite(found) else math.inf
