"""Optimisation of the physical model's parameters on observations, and on the synthetic model's predictions."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import model_equation
from hyco.inversion.config import InversionConfig
from hyco.inversion.estimates import (
    LARGEST_DENSE,
    Assessment,
    assess,
    field_estimates,
    number_estimates,
    rivals,
)
from hyco.inversion.inverse_problem import InverseProblem, StepCorrection
from hyco.inversion.optimisers.result import Diverged, NotConverged, OptimisationResult, Status
from hyco.inversion.residuals import residual_summary
from hyco.inversion.search import Search
from hyco.inversion.targets import SyntheticTargets
from hyco.observations import Observations
from hyco.runtime.storage import Bundle, prefixed, unprefixed

log = logging.getLogger(__name__)

# The covariance is computed after every update for up to so many unknowns, else at the end of the training.
_ASSESSED_ALWAYS = 64
# Unknowns that a method which stores the whole Jacobian can bear.
_MOST_FOR_A_JACOBIAN = 5000
# Predictions that are kept, and their bytes in all.
_KEPT, _KEPT_BYTES = 8, 2**28


class _Predictions:
    """Rollouts that are kept as long as the parameters stay: epochs without an update ask for the same ones."""

    def __init__(self, predict: Callable[[Tensor, Tensor, int], Tensor]) -> None:
        self._predict = predict
        self._theta: Tensor | None = None
        self._known: list[tuple[Tensor, Tensor]] = []

    def __call__(self, starts: Tensor, theta: Tensor, steps: int) -> Tensor:
        """The states `[B, steps, C, *space]` from `starts`."""
        if self._theta is None or not torch.equal(self._theta, theta):
            self._theta, self._known = theta.clone(), []
        found = next((i for i, known in enumerate(self._known) if self._is(known, starts, steps)), None)
        states = self._predict(starts, theta, steps) if found is None else self._known.pop(found)[1]
        self._known.insert(0, (starts.clone(), states))
        while len(self._known) > _KEPT or sum(states.nbytes for _, states in self._known) > _KEPT_BYTES:
            self._known.pop()
        return states

    @staticmethod
    def _is(known: tuple[Tensor, Tensor], starts: Tensor, steps: int) -> bool:
        same_kind = known[0].dtype == starts.dtype and known[0].device == starts.device
        return known[1].shape[1] == steps and same_kind and torch.equal(known[0], starts)


@dataclass(frozen=True)
class CalibratorSnapshot:
    """Where a `Calibrator` was before an update that may be taken back.

    Attributes:
        coordinates: of the parameters and of unknown initial states, `[q]`.
        outcome: of the last update.
        failed: the error of the last update, None: there was none.
        pulled: whether the coordinates come from an update with the network's predictions.
    """

    coordinates: Tensor
    outcome: dict[str, Any]
    failed: str | None
    pulled: bool


class Calibrator:
    """The equation, its current parameters and its data; `update` is the whole interface of the hybrid loop.

    The loss is α · mean(((H(u) - y)/σ)²) over observed entries + (1 - α) · mean(((u - v)/σ)²) over the network's
    predictions v, with u the rollout from the same start and σ the noise per channel. Real data enter from t = 0 on;
    where the initial states are not known exactly they are estimated too.

    Args:
        equation: that of the data; `config` may say that the physical model has another, or a coarser grid.
        iterations: how many are to be expected, for the choice of a path; None: those of a training of it alone.
        correction: what follows each physical step where real data are fitted; None: nothing.

    Attributes:
        problem: the residuals.
        unit: current coordinates `[q]` of the parameters, and of unknown initial states.
        evaluations: every evaluation of the loss so far `[n, 1 + numbers]`: the loss, NaN if it was not finite, and
            the numbers.
        settled: whether an update on real data alone has converged and gained less than is worth going on for, or the
            search of `calibrate` has converged.
        pulled: whether the coordinates come from an update with the network's predictions.
    """

    def __init__(
        self,
        equation: Equation,
        observations: Observations,
        config: InversionConfig,
        *,
        num_predict_steps: int,
        device: torch.device,
        iterations: int | None = None,
        correction: StepCorrection | None = None,
    ) -> None:
        equation.require_states(observations.layout, observations.dt)
        if num_predict_steps > observations.steps:
            raise ValueError(f"num_predict_steps is {num_predict_steps}, generation.steps only {observations.steps}")
        self.config, self.steps, self.device = config, num_predict_steps, device
        self.problem = InverseProblem(
            model_equation(equation, config.equation, config.resolution),
            observations,
            config.learnable_parameters,
            steps=num_predict_steps,
            execution=config.execution,
            iterations=config.epochs * (config.max_iterations or 1) if iterations is None else iterations,
            memory_budget=1e6 * config.memory_budget,
            prior=config.initial_state,
            open_walls=equation.open_walls,
            correction=correction,
            device=device,
        )
        if config.method == "Levenberg-Marquardt" and len(self.problem.start) > _MOST_FOR_A_JACOBIAN:
            raise ValueError(
                f"{len(self.problem.start)} unknowns are too many for Levenberg-Marquardt, which stores the whole "
                f"Jacobian (at most {_MOST_FOR_A_JACOBIAN}): set physical.method to L-BFGS-B"
            )
        self.space = self.problem.space
        self.unit = self.problem.start.clone()
        self.assessment: Assessment | None = None
        self.evaluations = torch.empty((0, 1 + len(self.values)), dtype=torch.float64)
        self.outcome: dict[str, Any] = {}
        self.residuals: dict[str, Tensor] = {}
        self.updates = 0
        self.failed: str | None = None
        self.settled = self.pulled = False
        self._limited_by = ""  # the key that limits the last update
        self._predictions = _Predictions(self._predict)
        # The last ones: metrics and checkpoint of an epoch ask for the same.
        self._estimated: tuple[Assessment | None, Tensor, dict[str, dict[str, Any]]] | None = None
        if not bool(self.problem.mask.any()):
            raise ValueError(
                f"nothing is observed in the first {num_predict_steps} steps: the physical model has no data "
                "(see observation.time and num_predict_steps)"
            )

    @property
    def before_update(self) -> Callable[[], None]:
        """Called before each evaluation of an update."""
        return self.problem.before_evaluation

    @before_update.setter
    def before_update(self, call: Callable[[], None]) -> None:
        self.problem.before_evaluation = call

    @property
    def theta(self) -> Tensor:
        """Coordinates of the parameters alone, `[p]`."""
        return self.unit[: self.problem.parameters]

    @property
    def values(self) -> dict[str, float]:
        """Current values of the numbers that are learnt."""
        return {name: float(value) for name, value in self.space.numbers(self.theta).items()}

    @property
    def initial_states(self) -> Tensor | None:
        """Estimated initial states of the training simulations `[S, C, *space]`; None where they are known."""
        if self.problem.initial_states is None:
            return None
        with torch.no_grad():
            return self.problem.initial(self.unit[None].to(self.device))[0].cpu()

    def rollout(self, starts: Tensor, steps: int) -> Tensor:
        """Rollout without gradient: `[B, C, *space]` to `[B, steps, C, *space]`, on the CPU.

        The last ones are kept, and given again while the parameters stay: do not change them in place.
        """
        if self.problem.correction is not None:
            return self._predict(starts, self.theta, steps)
        return self._predictions(starts, self.theta, steps)

    def rollout_draws(self, starts: Tensor, steps: int, theta: Tensor) -> Tensor:
        """The same for several parameters `[K, p]`, brought inside their bounds: `[K, B, steps, C, *space]`."""
        theta = theta.clamp(self.space.lower, self.space.upper)
        copies, each = len(theta), theta.repeat_interleave(len(starts), dim=0)
        states = self._predict(starts.repeat(copies, *[1] * (starts.ndim - 1)), each, steps)
        return states.reshape(copies, *starts.shape[:1], *states.shape[1:])

    @torch.no_grad()
    def _predict(self, starts: Tensor, theta: Tensor, steps: int) -> Tensor:
        work = self.problem.work
        states = self.problem.roll_out(starts.to(self.device), theta.to(self.device), steps)
        self.problem.work = work  # that of the inversion: predictions are repeated where a killed run goes on
        return states.to(starts.device)

    def covariance(self) -> Tensor | None:
        """Covariance `[p, p]` of the parameters' coordinates, from real data and prior; None where not all have one.

        Where nothing is known the variance is that of a uniform distribution over the bounds.
        """
        if self.assessment is None and len(self.unit) <= _ASSESSED_ALWAYS:
            self.assess()
        if self.assessment is None or len(self.assessment.kept) < self.problem.parameters:
            return None
        found = self.assessment.uncertainty.covariance
        unknown = ~torch.isfinite(found.diagonal())
        known = torch.where(unknown[:, None] | unknown[None, :], torch.zeros_like(found), found)
        return known + torch.diag(torch.where(unknown, self.space.width.square() / 12, 0.0))

    def update(
        self,
        alpha: float = 1.0,
        interaction: SyntheticTargets | None = None,
        *,
        to_the_end: bool = False,
        limit: int | None = None,
    ) -> OptimisationResult:
        """Optimise the parameters from where they are; they then are the best that were evaluated.

        Args:
            alpha: weight of the real data.
            interaction: the network's predictions; None: real data alone.
            to_the_end: take over also what gains less than `abs_tol`, as the last iteration of a single update does.
            limit: iterations allowed; None: `max_iterations`.

        Returns:
            The outcome. It does not raise: see `check`.
        """
        if interaction is not None:
            interaction = interaction.to(self.device)
        search = Search(self.problem, self.config, alpha, interaction, self._information(), limit)
        self._limited_by = "physical.epochs" if self.config.max_iterations is None else "physical.max_iterations"
        if limit is not None:
            self._limited_by = "hybrid.calibration_iterations"
        first = self.updates == 0
        result = search.run(self.unit, first=first)
        self.updates += 1
        rows = []
        for entry in result.history:
            point = torch.tensor(entry["x"][: self.problem.parameters], dtype=torch.float64)
            loss = math.nan if entry["value"] is None else entry["value"]
            rows.append([loss, *map(float, self.space.numbers(point).values())])
        found = torch.tensor(rows, dtype=torch.float64).reshape(len(rows), self.evaluations.shape[1])
        self.evaluations = torch.cat([self.evaluations, found])
        self.outcome = {
            "status": str(result.status),
            "reason": result.reason,
            "iterations": result.iterations,
            "evaluations": result.evaluations,
            "forward_simulations": self.problem.simulations,
            "starts": [{**s, "x": s["x"][: self.problem.parameters]} for s in result.starts][:64],
        }
        # A later update that gains less than is worth going on for leaves the parameters where they are: then it does
        # not matter how many of them follow.
        gain = result.initial_value - result.value
        converged = result.status is Status.CONVERGED and not gain >= self.config.abs_tol
        if interaction is None:
            self.settled = converged
        if result.status is not Status.DIVERGED and (first or to_the_end or not converged):
            self.unit = torch.from_numpy(result.x.copy())
            self.pulled = interaction is not None
            self.assessment = None
            if len(self.unit) <= _ASSESSED_ALWAYS:
                self.assess()
        error = self._error(result)
        self.failed = None if error is None else str(error)
        return result

    def calibrate(self, limit: int) -> OptimisationResult:
        """Optimise on real data alone in one search, to its end: many short ones would each forget the curvature.

        Args:
            limit: iterations allowed.

        Returns:
            The outcome. It does not raise: see `check`.
        """
        result = self.update(to_the_end=True, limit=limit)
        self.settled = result.status is Status.CONVERGED
        log.log(
            logging.INFO if self.settled else logging.WARNING,
            "The physical model was fitted to real data alone: %s (%d iterations, %d evaluations, loss %.6g).%s",
            result.reason,
            result.iterations,
            result.evaluations,
            result.value,
            f" Raise {self._limited_by} to go on." if result.status is Status.ITERATION_LIMIT else "",
        )
        return result

    def assess(self) -> None:
        """Bring the covariance up to date, of numbers alone where fields have too many cells.

        There is none as long as a weight is to be chosen.
        """
        if self.assessment is not None or self.space.undecided:
            return
        if self.problem.parameters > LARGEST_DENSE:
            log.warning(
                "%d coordinates of parameters are too many for a covariance (at most %d): fields have no error bars.",
                self.problem.parameters,
                LARGEST_DENSE,
            )
            if not self.space.of_numbers:
                return
        self.assessment = assess(self.problem, self.unit)

    def _information(self) -> Tensor | None:
        """Diagonal of the information `[q]`, for the scale of the first step."""
        if self.assessment is None and len(self.unit) <= _ASSESSED_ALWAYS and self.config.method == "L-BFGS-B":
            self.assess()
        if self.assessment is None or len(self.assessment.uncertainty.information) != len(self.unit):
            return None
        return self.assessment.uncertainty.information.diagonal()

    def check(self, result: OptimisationResult) -> None:
        """Raise what an outcome calls for.

        Raises:
            Diverged: the loss is not finite where the update started.
            NotConverged: it did not converge, and `suppress_convergence_errors` is false.
        """
        error = self._error(result)
        if error is not None:
            raise error

    def _error(self, result: OptimisationResult) -> NotConverged | Diverged | None:
        """What an outcome calls for, if anything."""
        best = ", ".join(f"{name} = {value:.6g}" for name, value in self.values.items()) or "a field"
        if result.status is Status.DIVERGED:
            message = (
                f"physical: {result.reason} ({best}). Change physical.learnable_parameters (initial_guess, bounds), "
                "or check the data for values that are not finite."
            )
            return Diverged(message, result, self.values)
        if result.status is not Status.CONVERGED and not self.config.suppress_convergence_errors:
            message = (
                f"physical: {result.reason}, after {result.evaluations} evaluations; best so far: {best} "
                f"(loss {result.value:.6g}). Raise {self._limited_by}, or set "
                "physical.suppress_convergence_errors=true to go on with the best parameters."
            )
            return NotConverged(message, result, self.values)
        return None

    def estimates(self) -> dict[str, dict[str, Any]]:
        """For each number its `estimate`, `std`, `interval` and whether it is `identifiable`: see `number_estimates`.

        The standard deviation comes from the real data (and the prior) alone, whatever the parameters were trained on.
        """
        if self.assessment is None and len(self.unit) <= _ASSESSED_ALWAYS:
            self.assess()
        known = self._estimated
        if known is None or known[0] is not self.assessment or not torch.equal(known[1], self.theta):
            found = number_estimates(self.space, self.theta, self.assessment)
            self._estimated = known = self.assessment, self.theta.clone(), found
        return known[2]

    def metrics(self) -> dict[str, float | None]:
        """The estimates as live metrics, with the ends of their 95 % intervals."""
        found: dict[str, float | None] = {}
        for name, estimate in self.estimates().items():
            found[f"estimate.{name}"], found[f"std.{name}"] = estimate["estimate"], estimate["std"]
            found[f"lower.{name}"], found[f"upper.{name}"] = estimate["interval"] or (None, None)
        return found

    def conclude(self) -> None:
        """What a finished training owes: error bars, and in words what the data do not determine."""
        self.residuals = residual_summary(self.problem, self.unit)
        self.assess()
        if self.assessment is None:
            return
        for words in self.assessment.identifiability.words(most=4):
            log.warning("The data do not determine %s (in units of what was known beforehand).", words)
        if not self.config.horizons:  # with them the searches ended on a part of the data
            ends, count = self.outcome.get("starts", []), self.problem.count(self.steps)
            self.outcome["rivals"] = rivals(self.space, self.theta, self.assessment, ends, count)[:8]
        for numbers in self.outcome.get("rivals", []):
            text = ", ".join(f"{name} = {value:.4g}" for name, value in numbers.items()) or "another field"
            log.warning("Another minimum fits the data as well: %s. The error bars do not reach there.", text)

    def state(self) -> Bundle:
        """Everything that changes during training."""
        fields = field_estimates(self.space, self.theta, self.assessment)
        tensors = {"unit": self.unit, "evaluations": self.evaluations}
        metadata: dict[str, Any] = {
            "equation": self.config.equation,
            "resolution": self.config.resolution,
            "execution": self.problem.stepper.path,
            "evaluated": ["loss", *self.values],
            "outcome": self.outcome,
            "updates": self.updates,
            "failed": self.failed,
            "settled": self.settled,
            "pulled": self.pulled,
            "work": self.problem.work,
            "weights": dict(self.space.weights),
            "estimates": self.estimates(),
            "values": {n: float(v) for n, v in self.space.to_values(self.theta).items() if n not in fields},
            "fields": {n: {"identifiable": f.identifiable, "pull": f.pull} for n, f in fields.items()},
            "assessed": self.assessment is not None,
        }
        for name, field in fields.items():
            tensors[f"field/{name}"] = field.estimate
            if field.std is not None:
                tensors[f"field_std/{name}"] = field.std
        if self.assessment is not None:
            metadata["identifiability"] = self.assessment.identifiability.to_dict()
            # JSON has no infinity.
            chi_square = self.assessment.uncertainty.reduced_chi_square
            metadata["reduced_chi_square"] = chi_square if math.isfinite(chi_square) else None
        tensors.update(self.residuals)
        if self.problem.correction is not None:
            tensors.update(prefixed("correction", self.problem.correction.state()))
        return Bundle(tensors, metadata)

    def place(self, unit: Tensor) -> None:
        """Put the coordinates `[q]` somewhere else, where no predictions have led."""
        self.pulled = False
        if not torch.equal(unit, self.unit):
            self.unit, self.assessment = unit.clone(), None
            if len(self.unit) <= _ASSESSED_ALWAYS:
                self.assess()

    def snapshot(self) -> CalibratorSnapshot:
        """Where the model is now, for `restore`."""
        return CalibratorSnapshot(self.unit.clone(), self.outcome, self.failed, self.pulled)

    def restore(self, snapshot: CalibratorSnapshot) -> None:
        """Take back what was updated since a `snapshot`; what it cost stays counted."""
        self.place(snapshot.coordinates)
        self.outcome, self.failed, self.pulled = snapshot.outcome, snapshot.failed, snapshot.pulled

    def correction_changed(self) -> None:
        """The correction is another one than before: error bars computed with the last one do not hold."""
        self.assessment = None

    def load(self, state: Bundle) -> None:
        """Go on from a `state`, with the execution path that it took."""
        meta = state.metadata
        self.unit = state.tensors["unit"]
        self.settled, self.pulled = meta["settled"], meta.get("pulled", True)
        self.evaluations = state.tensors["evaluations"]
        self.outcome, self.updates, self.failed = meta["outcome"], meta["updates"], meta["failed"]
        self.space.weights = dict(meta["weights"])
        problem = self.problem
        problem.model.take(meta["execution"])
        self.residuals = {k: v for k, v in state.tensors.items() if k.startswith("residuals_")}
        if problem.correction is not None:
            problem.correction.load(unprefixed("correction", state.tensors))
        # A function of the coordinates: computed again, to the same bits.
        self.assessment = None
        if meta["assessed"]:
            self.assess()
        self.problem.work = meta["work"]
