"""A physical model with current parameters: what it predicts, and how sure the parameters are."""

from __future__ import annotations

import torch
from torch import Tensor

from hyco.inversion.assessment import Assessment
from hyco.inversion.assessor import Assessor
from hyco.inversion.estimate import NumberEstimate
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.prediction_cache import PredictionCache
from hyco.inversion.verdict import Verdict
from hyco.trained_model import Time


class CalibratedModel:
    """The physical model of an inverse problem at current coordinates.

    Attributes:
        coordinates: `[q]`, of the parameters (θ) and of unknown initial states (ξ).
        space: of the parameters.
        assessor: error bars of the coordinates.
        verdict: what the misfit of the equation as it is comes from; None: not judged (yet).
    """

    stepping = True

    def __init__(self, problem: InverseProblem) -> None:
        self._problem = problem
        self.space = problem.forward.space
        self.coordinates = problem.box.start.clone()
        self.assessor = Assessor(problem)
        self.verdict: Verdict | None = None
        self._cache = PredictionCache(self._predict)

    @property
    def theta(self) -> Tensor:
        """Coordinates of the parameters alone, `[p]`."""
        return self.coordinates[: self._problem.parameter_count]

    @property
    def values(self) -> dict[str, float]:
        """Current values of the numbers that are learnt."""
        return {name: float(value) for name, value in self.space.numbers(self.theta).items()}

    @property
    def initial_states(self) -> Tensor | None:
        """Estimated initial states of the training simulations `[S, C, *space]`; None where they are known."""
        if self._problem.initial_states is None:
            return None
        with torch.no_grad():
            return self._problem.initial(self.coordinates[None].to(self._problem.device))[0].cpu()

    def rollout(self, states: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """Without gradient or correction: `[B, C, *space]` to `[B, steps, C, *space]`.

        The last ones are kept, and given again while the parameters stay: do not change them in place.
        """
        if self._problem.forward.model.equation.autonomous:
            time = 0.0  # one rollout for all times
        if self._problem.forward.correction is not None:
            return self._predict(states, self.theta, steps, time)
        return self._cache(states, self.theta, steps, time)

    def rollout_draws(self, states: Tensor, steps: int, theta: Tensor) -> Tensor:
        """The same from t = 0 for several parameters `[K, p]`, brought inside their bounds.

        Returns:
            `[K, B, steps, C, *space]`.
        """
        theta = theta.clamp(self.space.lower, self.space.upper)
        copies, each = len(theta), theta.repeat_interleave(len(states), dim=0)
        rolled = self._predict(states.repeat(copies, *[1] * (states.ndim - 1)), each, steps, 0.0)
        return rolled.reshape(copies, *states.shape[:1], *rolled.shape[1:])

    def _predict(self, starts: Tensor, theta: Tensor, steps: int, time: Time) -> Tensor:
        device = self._problem.device
        return self._problem.forward.predict(starts.to(device), theta.to(device), steps, time).to(starts.device)

    def move(self, coordinates: Tensor) -> None:
        """Go to other coordinates `[q]`."""
        self.coordinates = coordinates
        self.assessor.forget()
        self.assessor.assess_if_small(coordinates)

    def resume(self, coordinates: Tensor, *, assessed: bool) -> None:
        """Go on at coordinates `[q]`; error bars are a function of them, and computed again to the same bits."""
        self.coordinates = coordinates
        self.assessor.forget()
        if assessed:
            self.assessor.assess(coordinates)

    @property
    def assessment(self) -> Assessment | None:
        """How sure the coordinates are; None where that has not been worked out (yet)."""
        return self.assessor.current

    def information(self) -> Tensor | None:
        """Diagonal of the information `[q]`, for the scale of a first step; None where it is not worked out."""
        self.assessor.assess_if_small(self.coordinates)
        return self.assessor.information(self.coordinates)

    def covariance(self) -> Tensor | None:
        """Covariance `[p, p]` of the parameters' coordinates; see `Assessor.covariance`."""
        return self.assessor.covariance(self.coordinates)

    def numbers(self) -> dict[str, NumberEstimate]:
        """Each learnt number with its error bar, from the real data (and the prior) alone."""
        return self.assessor.numbers(self.coordinates)

    def metrics(self) -> dict[str, float | None]:
        """The numbers as live metrics, with the ends of their 95 % intervals."""
        metrics: dict[str, float | None] = {}
        for name, number in self.numbers().items():
            metrics[f"estimate.{name}"], metrics[f"std.{name}"] = number.value, number.std
            metrics[f"lower.{name}"], metrics[f"upper.{name}"] = number.interval or (None, None)
        return metrics
