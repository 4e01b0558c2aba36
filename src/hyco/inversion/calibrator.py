"""Calibration of the physical model: its parameters are optimised, update by update."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import model_equation
from hyco.inversion.assessment import LARGEST_DENSE
from hyco.inversion.calibrated_model import CalibratedModel
from hyco.inversion.config import InversionConfig
from hyco.inversion.data_range import beyond_range, require_range, warn_beyond
from hyco.inversion.discretisation import discretisation_change, discretisation_shift
from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.estimates import current_estimate
from hyco.inversion.forward_model import StepCorrection
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.loss import Huber
from hyco.inversion.open_ranges import filled_ranges
from hyco.inversion.optimisers.result import OptimisationResult, Status
from hyco.inversion.outcomes import error_of
from hyco.inversion.parts import Parts
from hyco.inversion.posterior import Posterior, described, posterior
from hyco.inversion.profile import profiled
from hyco.inversion.progress import Progress
from hyco.inversion.residuals import residual_summary
from hyco.inversion.search import Search
from hyco.inversion.structure import residual_structure
from hyco.inversion.targets import SyntheticTargets
from hyco.inversion.time_resolution import warn_of_coarse_steps
from hyco.inversion.verdict import Verdict, judged, verdict
from hyco.observations import Observations
from hyco.runtime.storage import Bundle, prefixed, unprefixed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibratorSnapshot:
    """Where a calibrator was, to go back to."""

    coordinates: Tensor
    progress: Progress
    scale: float


class Calibrator:
    """Optimises an equation's parameters; `update` is the whole interface of the hybrid loop.

    The loss is α · mean(((H(u) - y)/σ)²) over observed entries + (1 - α) · mean(((u - v)/σ)²) over the network's
    predictions v, with u the rollout from the same start and σ the noise per channel. Real data enter from t = 0 on;
    where the initial states are not known exactly they are estimated too.

    Args:
        equation: that of the data; `config` may say that the physical model has another, or a coarser grid.
        iterations: how many are to be expected, for the choice of an execution; None: those of a training of it alone.
        correction: of the physical step, learnt by a network; None: none.
        parts: who does parts that know nothing of each other; None: this process, one after the other.

    Attributes:
        ranges: numbers for keys of the equation that are `auto`.
        problem: the residuals.
        model: the physical model with its current parameters.
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
        parts: Parts | None = None,
    ) -> None:
        equation.require_states(observations.layout, observations.dt)
        if num_predict_steps > observations.steps:
            raise ValueError(f"num_predict_steps is {num_predict_steps}, the data have only {observations.steps} steps")
        self.config, self._parts = config, parts
        self.ranges = filled_ranges(equation, config.equation, observations, config.learnable_parameters)
        own = model_equation(equation, {**config.equation, **self.ranges}, config.resolution)
        # Its states may be on a coarser grid, which the data are not on.
        self._on_data = own if own.layout.grid == observations.layout.grid else equation
        require_range(self._on_data, observations)
        self.problem = InverseProblem(
            own,
            observations,
            config,
            steps=num_predict_steps,
            iterations=config.epochs * (config.max_iterations or 1) if iterations is None else iterations,
            open_walls=equation.open_walls,
            correction=correction,
            device=device,
        )
        _require_data_and_optimiser(self.problem, config)
        self.model = CalibratedModel(self.problem)
        self._progress = Progress(torch.empty((0, 1 + len(self.model.values)), dtype=torch.float64))
        self._posterior: Posterior | None = None
        self._described = described(observations, estimated=self.problem.initial_states is not None)
        for key, needed in config.without_effect.items():
            log.warning("physical.%s has no effect: it %s.", key, needed)

    def watch(self, call: Callable[[], None]) -> None:
        """Call this before each evaluation of an update."""
        self.problem.watch(call)

    @property
    def updates(self) -> int:
        """How many there were."""
        return self._progress.updates

    @property
    def settled(self) -> bool:
        """Whether real data alone have nothing left to gain: the last update on them, or `calibrate`, converged."""
        return self._progress.settled

    @property
    def failed(self) -> str | None:
        """The error that the last update calls for."""
        return self._progress.failed

    def update(
        self,
        alpha: float = 1.0,
        synthetic: SyntheticTargets | None = None,
        *,
        to_the_end: bool = False,
        limit: int | None = None,
    ) -> OptimisationResult:
        """Optimise the parameters from where they are; they then are the best that were evaluated.

        Args:
            alpha: weight of the real data.
            synthetic: the network's predictions; None: real data alone.
            to_the_end: take over also what gains less than `abs_tol`, as the last iteration of a single update does.
            limit: iterations allowed; None: `max_iterations`.

        Returns:
            The outcome. It does not raise: see `check`.
        """
        synthetic = None if synthetic is None else synthetic.to(self.problem.device)
        first = self.updates == 0
        information = self.model.information() if self.config.optimiser.uses_information else None
        search = Search(self.problem, self.config, alpha, synthetic, information, limit, self._parts)
        limited_by = "physical.epochs" if self.config.max_iterations is None else "physical.max_iterations"
        if limit is not None:
            limited_by = "hybrid.calibration_iterations"
        result = search.run(self.model.coordinates, first=first)
        if result.status is Status.DIVERGED:
            starts = [self.problem.initial(self.model.coordinates[None].to(self.problem.device))[0]]
            starts += [] if synthetic is None else [synthetic.starts]
            result = replace(result, reason=result.reason + beyond_range(self._on_data, torch.cat(starts)))
        progress = replace(self._progress.after(result, self.problem), limited_by=limited_by)
        # A later update that gains less than is worth going on for leaves the parameters where they are: then it does
        # not matter how many of them follow.
        gain = result.initial_value - result.value
        converged = result.status is Status.CONVERGED and not gain >= self.config.abs_tol
        if synthetic is None:
            progress = replace(progress, settled=converged)
        if result.status is not Status.DIVERGED and (first or to_the_end or not converged):
            self.model.move(torch.from_numpy(result.x.copy()))
            progress = replace(progress, from_predictions=synthetic is not None)
        error = error_of(result, self.config, self.model.values, limited_by)
        self._progress = replace(progress, failed=None if error is None else str(error))
        return result

    def calibrate(self, limit: int) -> OptimisationResult:
        """Optimise on real data alone in one search, to its end: many short ones would each forget the curvature.

        Args:
            limit: iterations allowed.

        Returns:
            The outcome. It does not raise: see `check`.
        """
        result = self.update(to_the_end=True, limit=limit)
        self._progress = replace(self._progress, settled=result.status is Status.CONVERGED)
        _tell(result, self._progress.limited_by)
        return result

    def check(self, result: OptimisationResult) -> None:
        """Raise what the last update's outcome calls for.

        Raises:
            Diverged: the loss is not finite where the update started.
            NotConverged: it did not converge, and `suppress_convergence_errors` is false.
        """
        if (error := error_of(result, self.config, self.model.values, self._progress.limited_by)) is not None:
            raise error

    def place(self, coordinates: Tensor) -> None:
        """Put the coordinates `[q]` somewhere else, where no predictions have led."""
        self._progress = replace(self._progress, from_predictions=False)
        if not torch.equal(coordinates, self.model.coordinates):
            self.model.move(coordinates.clone())

    def snapshot(self) -> CalibratorSnapshot:
        """Where it is now."""
        return CalibratorSnapshot(self.model.coordinates.clone(), self._progress, self.problem.data.scale)

    def restore(self, snapshot: CalibratorSnapshot) -> None:
        """Go back to where it was; what has been evaluated and computed since stays on record."""
        self.problem.data.rescale(snapshot.scale)
        self.place(snapshot.coordinates)
        then = snapshot.progress
        self._progress = replace(
            self._progress, outcome=then.outcome, failed=then.failed, from_predictions=then.from_predictions
        )

    def judge(self, *, look_for_terms: bool = True) -> Verdict | None:
        """See `verdict`, with the terms that are missing; None also where this is no converged fit of data alone."""
        at, grid = self.model.coordinates, self.config.discretisation
        fits, search = self._progress.fits_data, look_for_terms
        self.model.verdict = judged(self.problem, at, discretisation=grid, look_for_terms=search) if fits else None
        return self.model.verdict

    def conclude(self) -> None:
        """What a finished training owes: error bars, in words what the data do not determine, and the posterior."""
        assessor, coordinates, outcome = self.model.assessor, self.model.coordinates, self._progress.outcome
        residuals = residual_summary(self.problem, coordinates)
        warn_of_coarse_steps(self.problem, coordinates)
        with self.problem.linearised_once():
            assessor.assess(coordinates)
            structure = residual_structure(self.problem, coordinates)
            assessor.take_structure(structure, coordinates)
            change = discretisation_change(self.problem, coordinates) if self.config.discretisation else None
            assessor.take_shift(discretisation_shift(self.problem, coordinates, change))
            assessor.look_at_walls(coordinates, elsewhere=self.config.discretisation)
            alone, look = self.problem.forward.correction is None, self.config.missing_terms
            if alone and self._progress.fits_data and (now := assessor.current) is not None:
                told = verdict(self.problem, coordinates, now.uncertainty, structure, change, look_for_terms=look)
                self.model.verdict = told
        if self.ranges:
            starts = self.problem.initial(coordinates[None].to(self.problem.device))[0]
            warn_beyond(self._on_data, torch.cat([starts, *self.model.rollout(starts, self.problem.steps).unbind(1)]))
        # With horizons the searches ended on a part of the data; where missing terms moved the estimate, without these.
        last = self.model.verdict
        moved = self.problem.forward.correction is not None and last is not None and last.helped
        ends = [] if self.config.horizons or outcome is None or moved else outcome.ends
        minima = assessor.minima(coordinates, ends)
        if assessor.current is not None:
            wanted, parts = self.config.profile, self._parts
            elsewhere = None if parts is None else partial(parts.profiles, self.problem, self.state)
            assessor.take_profiles(profiled(self.problem, assessor.current, coordinates, wanted, minima, elsewhere))
        others = assessor.warn(coordinates, minima)
        self._progress = replace(self._progress, residuals=residuals, alternative_minima=others)
        self._posterior = posterior(self.problem, assessor, coordinates)

    @property
    def estimate(self) -> PhysicalEstimate:
        """The result so far."""
        estimate = current_estimate(self.problem, self.model, self._progress, self.config)
        return replace(estimate, ranges=self.ranges)

    def state(self) -> Bundle:
        """Everything that changes during training; once it has ended also `posterior`, see `Posterior.tensors`."""
        estimate, forward, progress = self.estimate.to_bundle(), self.problem.forward, self._progress
        assessed, verdict = self.model.assessor.state(), self.model.verdict
        tensors = {"coordinates": self.model.coordinates, **prefixed("estimate", estimate.tensors), **assessed.tensors}
        if forward.correction is not None:
            tensors |= prefixed("correction", forward.correction.state())
        if self._posterior is not None:
            tensors |= prefixed("posterior", self._posterior.tensors())
        metadata = progress.state() | assessed.metadata
        metadata |= {"assessed": self.model.assessment is not None, "scale": self.problem.data.scale}
        metadata |= {"work": forward.work, "code": sorted(forward.model.stepper.code)}
        metadata |= {"verdict": verdict and verdict.to_json(), "posterior": self._described}
        return Bundle(tensors, metadata | {"estimate": estimate.metadata})

    def load(self, state: Bundle) -> None:
        """Go on from a `state`, with the execution that it was run with.

        Raises:
            ValueError: its coordinates are not those of this problem, or not finite.
        """
        coordinates = state.tensors["coordinates"]
        if coordinates.shape != self.model.coordinates.shape or not bool(coordinates.isfinite().all()):
            raise ValueError(f"coordinates: not {len(self.model.coordinates)} finite numbers")
        meta, forward = state.metadata, self.problem.forward
        estimate = PhysicalEstimate.from_bundle(Bundle(unprefixed("estimate", state.tensors), meta["estimate"]))
        if estimate.ranges != self.ranges:
            log.warning("Ranges that are auto were %s before, and are %s now.", estimate.ranges, self.ranges)
        self._progress = Progress.of(estimate, meta)
        self.model.space.take_weights(estimate.weights)
        forward.model.take(estimate.execution, meta.get("code"))
        if forward.correction is not None:
            forward.correction.load(unprefixed("correction", state.tensors))
        self.problem.data.rescale(meta.get("scale", 1.0))
        self.model.resume(state.tensors["coordinates"], assessed=meta["assessed"])
        self.model.assessor.load(state, self.model.coordinates)
        self.model.verdict = Verdict.from_json(meta["verdict"]) if meta.get("verdict") else None
        kept = unprefixed("posterior", state.tensors)
        self._posterior = Posterior.of(kept) if kept else None
        forward.count_from(meta["work"])


def _tell(result: OptimisationResult, limited_by: str) -> None:
    """How a fit to real data alone ended."""
    log.log(
        logging.INFO if result.status is Status.CONVERGED else logging.WARNING,
        "The physical model was fitted to real data alone: %s (%d iterations, %d evaluations, loss %.6g).%s",
        result.reason,
        result.iterations,
        result.evaluations,
        result.value,
        f" Raise {limited_by} to go on." if result.status is Status.ITERATION_LIMIT else "",
    )


def _require_data_and_optimiser(problem: InverseProblem, config: InversionConfig) -> None:
    """Refuse a search without data, or with more unknowns than the optimiser can bear.

    Raises:
        ValueError: says what to change.
    """
    most, unknowns = config.optimiser.most_unknowns, len(problem.box.start)
    if most is not None and unknowns > most:
        raise ValueError(
            f"{unknowns} unknowns are too many for {config.optimiser.name}, which stores the whole Jacobian (at most "
            f"{most}): set physical.method to L-BFGS-B"
        )
    if isinstance(config.loss, Huber) and unknowns > LARGEST_DENSE:
        raise ValueError(
            f"physical.loss: huber is for up to {LARGEST_DENSE} unknowns, here are {unknowns}: say squares, or "
            "a coarser initial state (a larger physical.initial_state.length_scale)"
        )
    if not bool(problem.data.mask.any()):
        raise ValueError(
            f"nothing is observed in the first {problem.steps} steps: the physical model has no data "
            "(see observation.time and num_predict_steps)"
        )
