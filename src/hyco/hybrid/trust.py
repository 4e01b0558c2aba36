"""How far each model of a hybrid is to be trusted: how their error variances are estimated from what was measured.

All variances are mean squares of (H(u) - y)/σ over measured entries, along rollouts from t = 0 over whole simulations,
in units of the noise variance σ², that of each measurement or of its channel (for noise-free data see
`Observations.sigma`). Noise of known size is taken off, so that a perfect model has 0. Where some channels have noise,
the others (constant ones) are left out: σ there is not the noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyco.hybrid.variances import Variances
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.structure import residual_structure
from hyco.losses import mean_square
from hyco.observations import Observations
from hyco.runtime.random_streams import stream
from hyco.trained_model import TrainedModel
from hyco.training.network_trainer import NetworkTrainer

# A model whose mean square on validation data is lower by less than this part is not better.
_WORTHWHILE = 0.01
# A variance is told from none where it is as many standard deviations of the noise's own mean square.
_STANDARD_DEVIATIONS = 3.0
# Errors of a fit on other data may have as many times the variance of its residuals, which are smaller than the noise.
_ALIKE = 2.0
# Draws of the parameters, for the spread of the predictions that their uncertainty brings.
_DRAWS = 8


class Misfit:
    """Error variance of a model on some simulations.

    Args:
        observations: what was measured.
        simulations: which ones.
        mask: of their entries that count, `[S, T+1, C, K…]`; None: what was measured.

    Attributes:
        available: whether there are any.
        resolution: the smallest variance that is told from none, as a part of the noise's.
    """

    def __init__(self, observations: Observations, simulations: list[int], mask: Tensor | None = None) -> None:
        mask = observations.mask[simulations] if mask is None else mask
        mask = mask[:, 1:] & observations.has_noise_of_entries
        self.available = bool(simulations) and bool(mask.any())
        if not self.available:
            return
        self._starts = observations.initial_states[simulations]
        self._values, self._mask = observations.values[simulations, 1:], mask
        self._operator = observations.operator(simulations, 1, observations.steps)
        self._sigma = observations.sigma_at(simulations, slice(1, None))
        self._noise = 1.0 if observations.noise_known else 0.0
        self.resolution = _STANDARD_DEVIATIONS * math.sqrt(2 / int(mask.sum()))

    @torch.no_grad()
    def __call__(self, model: TrainedModel, initial_states: Tensor | None = None) -> float:
        """The variance; infinity where a prediction is not finite.

        Args:
            model: what predicts.
            initial_states: better ones than those measured, `[S, C, *space]`; None: there are none.
        """
        starts = self._starts if initial_states is None else initial_states.to(self._starts)
        states = model.rollout(starts, self._values.shape[1])
        error = (self._operator(states, before=starts) - self._values) / self._sigma
        excess = torch.where(self._mask, error.square() - self._noise, torch.zeros_like(error))
        variance = float(excess.sum() / self._mask.sum())
        return max(variance, 0.0) if math.isfinite(variance) else math.inf


class Trust:
    """Estimates the error variances of a hybrid's two models from what was measured.

    - The network's: on the validation simulations, or on what is held out of the training simulations; without either
      on the training simulations, where it may look better than it is.
    - The physical model's: on the training simulations (its residuals), or on the validation data if it is larger
      there; plus the spread of predictions that the covariance of its parameters allows.

    Where the size of the noise is not known, it is that of the physical model's residuals, or of its errors on the
    validation data if these are larger, once the model is at its optimum, if the residuals are white noise
    (`hyco.inversion.structure`) and the errors nearly as small: an equation that lacks something leaves others. It then
    is taken off as where it is known.

    Where the validation data are held out of the training simulations, each model starts from the best estimate that
    there is of their initial states.
    """

    def __init__(self, observations: Observations, seed: int) -> None:
        self.seed = seed
        self.training = Misfit(observations, observations.train)
        self.validation = Misfit(observations, *observations.validation())
        self._holds_out = not observations.val and observations.heldout is not None
        self.real = 1.0 if observations.noise_known else 0.0
        self._starts, self._steps = observations.initial_states[observations.train], observations.steps
        has_noise = observations.has_noise.reshape(observations.sigma.shape)
        self._counted = observations.layout.valid & has_noise
        # The last results, and the physical model's coordinates that they are of.
        self._last: tuple[Tensor, float] | None = None
        self._noise: tuple[Tensor, float] | None = None

    def is_better(self, variance: float, than: float) -> bool:
        """Whether one validation variance is below another by more than the noise in it lets happen."""
        # The noise is in both mean squares again: near 0 a variance is the difference of two numbers near 1.
        return variance + self.real < (1 - _WORTHWHILE) * (than + self.real)

    def variances(self, synthetic: NetworkTrainer, physical: Calibrator) -> Variances:
        """Of both models as they are."""
        validated = self.validation.available
        starts = synthetic.starts.initial_states if self._holds_out else None
        network = (self.validation if validated else self.training)(synthetic, starts)
        window = min(1.0, synthetic.windows.length / self._steps)
        theirs, noise = self._physical(physical), self.real
        if validated and not noise:
            noise = self._noise_by(physical)
            theirs, network = max(theirs - noise, 0.0), max(network - noise, 0.0)
        resolution = noise * self.validation.resolution if validated else 0.0
        if not noise:  # σ stands for it: a thousandth of the data's standard deviation
            resolution = 1.0
        return Variances(noise, theirs, network, validated, window, resolution)

    def of_physics(self, physical: Calibrator) -> float:
        """The physical model's, on the validation data."""
        return self.validation(physical.model, physical.model.initial_states if self._holds_out else None)

    def _physical(self, physical: Calibrator) -> float:
        """The physical model's; computed again only when its coordinates have changed."""
        if self._last is None or not torch.equal(self._last[0], physical.model.coordinates):
            starts = physical.model.initial_states if self._holds_out else None
            variance = self.training(physical.model, starts)
            if self.validation.available:
                variance = max(variance, self.of_physics(physical))
            self._last = physical.model.coordinates.clone(), variance + self.spread(physical)
        return self._last[1]

    def _noise_by(self, physical: Calibrator) -> float:
        """Variance of a noise of unknown size, as the physical model's errors have it; 0 where these are no noise."""
        if not physical.settled:
            return 0.0
        coordinates = physical.model.coordinates
        if self._noise is None or not torch.equal(self._noise[0], coordinates):
            starts = physical.model.initial_states if self._holds_out else None
            errors, residuals = self.of_physics(physical), self.training(physical.model, starts)
            found = 0.0
            if math.isfinite(errors) and errors < _ALIKE * residuals:
                structure = residual_structure(physical.problem, coordinates)
                white = structure is not None and structure.white
                found = max(errors, residuals) if white else 0.0
            self._noise = coordinates.clone(), found
        return self._noise[1]

    def spread(self, physical: Calibrator) -> float:
        """Variance of the predictions over draws of the parameters from their covariance; 0 where there is none."""
        covariance = physical.model.covariance()
        if covariance is None:
            return 0.0
        # Eigenvalues, not Cholesky: a direction may have no variance.
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp_min(0).sqrt()
        noise = torch.randn((_DRAWS, len(root)), generator=stream(self.seed, "trust"), dtype=root.dtype)
        draws = physical.model.theta + noise @ root.T
        best = physical.model.rollout(self._starts, self._steps)
        spread = physical.model.rollout_draws(self._starts, self._steps, draws) - best
        variance = float(mean_square(spread / physical.problem.data.sigma.cpu(), self._counted.expand(spread.shape)))
        return variance if math.isfinite(variance) else math.inf
