"""Optimisation of the physical model's parameters on observations, and on the synthetic model's predictions."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from hyco.inversion.lbfgsb import minimise_lbfgsb
from hyco.inversion.result import Diverged, NotConverged, OptimisationResult, Status
from hyco.inversion.uncertainty import Uncertainty, jacobian, laplace
from hyco.losses import mean_square, weighted_loss
from hyco.observations import Observations
from hyco.physics.equation import Equation
from hyco.physics.parameters import LearnableParameter, ParameterSpace
from hyco.physics.stepper import Path, Stepper
from hyco.rollout import rollout
from hyco.storage import Bundle
from hyco.training.loop import Metrics, Run, Step
from hyco.training.validation import Validation, ValidationConfig, validation_metrics

log = logging.getLogger(__name__)

# Two-sided 95 % of the normal distribution.
CONFIDENCE = 1.96


class PhysicalConfig(ValidationConfig):
    """Keys of the `physical` section."""

    learnable_parameters: list[LearnableParameter] = Field(min_length=1, description="the unknown coefficients")
    method: Literal["L-BFGS-B"] = Field(default="L-BFGS-B", description="optimiser")
    abs_tol: PositiveFloat = Field(default=1e-6, description="smallest decrease of the loss worth going on for")
    max_iterations: PositiveInt | None = Field(
        default=None, description="iterations of one update; null: `epochs` of them in a single update"
    )
    epochs: PositiveInt = Field(default=50, description="updates (or iterations, see max_iterations), when alone")
    num_predict_steps: PositiveInt = Field(default=5, description="steps of the rollout from t = 0, when alone")
    suppress_convergence_errors: bool = Field(
        default=False, description="reaching the iteration limit is expected: go on with the best parameters"
    )
    execution: Path = Field(default="auto", description="how the equation's step is run")
    gradient_checkpointing: bool = Field(
        default=False, description="recompute each step for the gradient instead of storing it"
    )


@dataclass
class Interaction:
    """The synthetic model's predictions.

    Attributes:
        starts: initial states `[W, C, *space]`; those of the training simulations at t = 0 are among them.
        targets: predictions from them, `[W, T, C, *space]`.
        initial: which starts those are, `[S]`, so that one rollout serves real data and predictions.
    """

    starts: Tensor
    targets: Tensor
    initial: Tensor


class PhysicalTrainer:
    """The equation, its current parameters and its data; `update` is the whole interface of the hybrid loop.

    The loss is α · mean(((u - y)/σ)²) over observed entries + (1 - α) · mean(((u - v)/σ)²) over the network's
    predictions v, with u the rollout from the same start and σ the noise per channel. Real data enter from t = 0 on,
    where the initial state is known exactly.

    Attributes:
        unit: current coordinates `[p]` in the box of the bounds.
        evaluations: every evaluation of the loss so far: parameter values and loss.
    """

    def __init__(
        self,
        equation: Equation,
        observations: Observations,
        config: PhysicalConfig,
        *,
        num_predict_steps: int,
        device: torch.device,
    ) -> None:
        if num_predict_steps > observations.steps:
            raise ValueError(f"num_predict_steps is {num_predict_steps}, generation.steps only {observations.steps}")
        self.config, self.steps, self.device = config, num_predict_steps, device
        self.stepper = Stepper(equation, config.execution)
        self.space = ParameterSpace(config.learnable_parameters)
        known = equation.parameter_tensors(torch.float64, device)
        self.fixed = {k: v for k, v in known.items() if k not in self.space.names}
        self.unit = self.space.initial
        self.uncertainty: Uncertainty | None = None
        self.evaluations: list[dict[str, Any]] = []
        self._starts = observations.initial_states[observations.train].to(device)
        self._targets = observations.values[observations.train, 1 : num_predict_steps + 1].to(device)
        self._mask = observations.mask[observations.train, 1 : num_predict_steps + 1].to(device)
        self._sigma = observations.unit.to(device)
        self._known_noise = bool((observations.noise_std > 0).all())
        if not bool(self._mask.any()):
            raise ValueError(
                f"nothing is observed in the first {num_predict_steps} steps: the physical model has no data "
                "(see observation.time and num_predict_steps)"
            )

    @property
    def values(self) -> dict[str, float]:
        """Current values of the learnable parameters."""
        return {name: float(value) for name, value in self.space.to_values(self.unit).items()}

    def predict(self, starts: Tensor, steps: int) -> Tensor:
        """Rollout without gradient: `[B, C, *space]` to `[B, steps, C, *space]`, on the CPU."""
        with torch.no_grad():
            return self._rollout(starts.to(self.device), self.unit.to(self.device), steps).to(starts.device)

    def update(self, alpha: float = 1.0, interaction: Interaction | None = None) -> OptimisationResult:
        """Optimise the parameters from where they are; they then are the best that were evaluated.

        Args:
            alpha: weight of the real data.
            interaction: the network's predictions; None: real data alone.

        Returns:
            The outcome. It does not raise: see `check`.
        """
        if interaction is not None:
            interaction = Interaction(
                interaction.starts.to(self.device), interaction.targets.to(self.device), interaction.initial
            )

        def objective(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            unit = torch.tensor(point, device=self.device, requires_grad=True)
            loss = self._loss(unit, alpha, interaction)
            if not bool(torch.isfinite(loss)):
                return math.nan, np.full_like(point, math.nan)
            (gradient,) = torch.autograd.grad(loss, unit)
            return float(loss.detach()), gradient.cpu().numpy()

        limit = self.config.epochs if self.config.max_iterations is None else self.config.max_iterations
        result = minimise_lbfgsb(
            objective,
            self.unit.numpy(),
            np.tile([0.0, 1.0], (len(self.space.names), 1)),
            abs_tol=self.config.abs_tol,
            max_iterations=limit,
            scale=self._curvature_scale(),
        )
        for entry in result.history:
            values = self.space.to_values(torch.tensor(entry["x"], dtype=torch.float64))
            self.evaluations.append({"loss": entry["value"], **{name: float(v) for name, v in values.items()}})
        if result.status is not Status.DIVERGED:
            self.unit = torch.from_numpy(result.x.copy())
            self.uncertainty = self._uncertainty()
        return result

    def check(self, result: OptimisationResult) -> None:
        """Raise what an outcome calls for.

        Raises:
            Diverged: the loss is not finite where the update started.
            NotConverged: it did not converge, and `suppress_convergence_errors` is false.
        """
        best = ", ".join(f"{name} = {value:.6g}" for name, value in self.values.items())
        if result.status is Status.DIVERGED:
            message = (
                f"physical: {result.reason} ({best}). Change physical.learnable_parameters (initial_guess, bounds), "
                "or check the data for values that are not finite."
            )
            raise Diverged(message, result, self.values)
        if result.status is not Status.CONVERGED and not self.config.suppress_convergence_errors:
            message = (
                f"physical: {result.reason}, after {result.evaluations} evaluations; best so far: {best} "
                f"(loss {result.value:.6g}). Raise physical.max_iterations, or set "
                "physical.suppress_convergence_errors=true to go on with the best parameters."
            )
            raise NotConverged(message, result, self.values)

    def estimates(self) -> dict[str, dict[str, Any]]:
        """For each parameter its `estimate`, `std` and whether the data determine it (`identifiable`).

        The standard deviation comes from the real data alone, whatever the parameters were trained on. A parameter is
        identifiable if its 95 % interval is narrower than its bounds and the estimate does not sit on a bound.
        """
        if self.uncertainty is None:
            self.uncertainty = self._uncertainty()
        unit_std = self.uncertainty.std
        slopes = self.space.slopes(self.unit)
        found = {}
        for i, (name, value) in enumerate(self.values.items()):
            spread, z = float(unit_std[i]), float(self.unit[i])
            width = self.space.learnable[i].bounds[1] - self.space.learnable[i].bounds[0]
            inside = 1e-6 < z < 1 - 1e-6
            found[name] = {
                "estimate": value,
                # Nothing known is as wide as the bounds: a uniform distribution over them.
                "std": min(spread * float(slopes[i]), width / math.sqrt(12)),
                "identifiable": bool(inside and 2 * CONFIDENCE * spread < 1),
            }
        return found

    def state(self) -> Bundle:
        """Everything that changes during training."""
        tensors = {"unit": self.unit}
        metadata: dict[str, Any] = {
            "execution": self.stepper.path,
            "evaluations": list(self.evaluations),
            "estimates": self.estimates(),
        }
        assert self.uncertainty is not None  # by `estimates`
        tensors["information"] = self.uncertainty.information
        tensors["covariance"] = self.uncertainty.covariance
        tensors["singular_values"] = self.uncertainty.singular_values
        metadata["reduced_chi_square"] = self.uncertainty.reduced_chi_square
        return Bundle(tensors, metadata)

    def load(self, state: Bundle) -> None:
        """Go on from a `state`, with the execution path that it took."""
        self.unit = state.tensors["unit"]
        self.evaluations = list(state.metadata["evaluations"])
        self.stepper = Stepper(self.stepper.equation, state.metadata["execution"])
        self.uncertainty = Uncertainty(
            information=state.tensors["information"],
            covariance=state.tensors["covariance"],
            singular_values=state.tensors["singular_values"],
            reduced_chi_square=state.metadata["reduced_chi_square"],
        )

    def _rollout(self, starts: Tensor, unit: Tensor, steps: int) -> Tensor:
        """Rollout with gradient. `unit` is `[p]`, or `[B, p]` with values for each start."""
        values = self.space.to_values(unit)
        values.update(self.fixed)
        return rollout(
            lambda state: self.stepper(state, values),
            starts,
            steps,
            gradient_checkpointing=self.config.gradient_checkpointing and unit.requires_grad,
        )

    def _loss(self, unit: Tensor, alpha: float, interaction: Interaction | None) -> Tensor:
        """The weighted loss; a group of weight 0 is not computed."""
        if interaction is None:
            states = self._rollout(self._starts, unit, self.steps)
            return weighted_loss(1.0, mean_square((states - self._targets) / self._sigma, self._mask), None)
        states = self._rollout(interaction.starts, unit, self.steps)
        real = None
        if alpha > 0:
            real = mean_square((states[interaction.initial] - self._targets) / self._sigma, self._mask)
        return weighted_loss(alpha, real, mean_square((states - interaction.targets) / self._sigma))

    @torch.no_grad()
    def _residuals(self, units: Tensor) -> Tensor:
        """Whitened residuals `[K, N]` of the real data at coordinates `[K, p]`, all in one batch."""
        count = self._starts.shape[0]
        starts = self._starts.repeat(units.shape[0], *[1] * (self._starts.ndim - 1))
        states = self._rollout(starts, units.repeat_interleave(count, dim=0), self.steps)
        residuals: Tensor = (states.reshape(units.shape[0], count, *states.shape[1:]) - self._targets) / self._sigma
        return residuals[:, self._mask]

    def _uncertainty(self) -> Uncertainty:
        """Covariance of the current coordinates from the real data."""
        unit = self.unit.to(self.device)
        return laplace(
            jacobian(self._residuals, unit).cpu(),
            self._residuals(unit[None])[0].cpu(),
            known_noise=self._known_noise,
        )

    def _curvature_scale(self) -> NDArray[np.float64] | None:
        """1/√(∂²loss/∂z²) for each coordinate, in the Gauss-Newton approximation; None where it is not usable."""
        if self.uncertainty is None:
            self.uncertainty = self._uncertainty()
        count = float(self._mask.sum())
        curvature = 2 * self.uncertainty.information.diagonal().numpy() / count
        if not np.isfinite(curvature).all() or not (curvature > 0).all():
            return None
        return np.asarray(np.minimum(1 / np.sqrt(curvature), 0.25))


def train_physical(
    equation: Equation,
    observations: Observations,
    config: PhysicalConfig,
    *,
    configuration: Mapping[str, Any],
    device: torch.device,
    checkpoint: Bundle | None = None,
    resume: bool = False,
) -> Iterator[Step]:
    """Optimise the parameters on real data alone; yields `(checkpoint, metrics)` after each update.

    With `max_iterations: null` there is one update of up to `epochs` iterations, else `epochs` updates of up to
    `max_iterations`, until one of them finds nothing better.

    Raises:
        NotConverged, Diverged: from an update, after it was yielded.
        ResumeError: the checkpoint belongs to another configuration.
    """
    trainer = PhysicalTrainer(equation, observations, config, num_predict_steps=config.num_predict_steps, device=device)
    validate = Validation(observations, rollout=config.validation_rollout)
    epochs = 1 if config.max_iterations is None else config.epochs
    run = Run("physical", configuration, epochs, config, physical=trainer)
    yield from run.resume(checkpoint, resume)
    while not run.finished:
        epoch = run.epoch + 1
        with run.clock.phase("physical"):
            result = trainer.update()
        run.extra["finished"] = result.status is Status.CONVERGED and not result.improved
        metrics: Metrics = {"physical_loss": result.value, "physical_evaluations": float(result.evaluations)}
        for name, estimate in trainer.estimates().items():
            metrics[f"estimate.{name}"], metrics[f"std.{name}"] = estimate["estimate"], estimate["std"]
        if validate.available and (run.extra["finished"] or config.due(epoch, epochs)):
            with run.clock.phase("validation"):
                metrics.update(validation_metrics("physical", validate(trainer)))
        yield run.record(epoch, metrics, is_best=result.improved)
        trainer.check(result)
