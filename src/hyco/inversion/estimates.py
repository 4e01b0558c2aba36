"""The result of a calibration so far, from the model and the record of what was done."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.inversion.calibrated_model import CalibratedModel
from hyco.inversion.config import InversionConfig
from hyco.inversion.estimate import NumberEstimate, PhysicalEstimate
from hyco.inversion.field_estimates import field_estimates
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.progress import Progress
from hyco.inversion.verdict import Verdict


def current_estimate(
    problem: InverseProblem, model: CalibratedModel, progress: Progress, config: InversionConfig
) -> PhysicalEstimate:
    """The estimates of the parameters now: with error bars where these have been worked out."""
    assessment, judged = model.assessment, model.verdict
    corrected = problem.forward.correction is not None
    numbers = judged_numbers(model.numbers(), judged, corrected=corrected, searched=corrected or config.missing_terms)
    prior = None if problem.initial_states is None else problem.initial_states.prior
    fields = field_estimates(model.space, model.theta, assessment, model.assessor.shift)
    estimate = PhysicalEstimate(
        numbers,
        fields,
        {n: float(v) for n, v in model.space.to_values(model.theta).items() if n not in fields},
        initial_state_prior=None if prior is None else prior.to_json(),
        alternative_minima=progress.alternative_minima,
        outcome=progress.outcome,
        weights=dict(model.space.weights),
        verdict=None if judged is None else judged.to_json(),
        residuals=progress.residuals,
        from_predictions=progress.from_predictions,
        equation=config.equation,
        resolution=config.resolution,
        execution=problem.forward.stepper.execution,
        evaluations=progress.evaluations,
    )
    if assessment is None:
        return estimate
    # In units of σ, also where a robust loss has found another scale of the residuals: to be compared with squares.
    chi_square = assessment.uncertainty.reduced_chi_square * problem.data.scale**2
    freedom, left = assessment.uncertainty.freedom, assessment.uncertainty.residual_freedom
    assessor = model.assessor
    return replace(
        estimate,
        covariance=assessment.uncertainty.covariance,
        labels=tuple(model.space.labels[i] for i in assessment.kept.tolist()),
        identifiability=assessment.identifiability.to_dict(),
        # JSON has no infinity.
        reduced_chi_square=chi_square if math.isfinite(chi_square) else None,
        outliers=assessment.outliers,
        degrees_of_freedom=freedom if math.isfinite(freedom) else None,
        residual_freedom=left if math.isfinite(left) else None,
        structure=None if assessor.structure is None else assessor.structure.to_json(),
        walls=None if assessor.walls is None else assessor.walls.to_json(),
        grid=None if assessor.shift is None else _grid(problem.forward.model.equation, uniform=not fields),
    )


def judged_numbers(
    numbers: dict[str, NumberEstimate], judged: Verdict | None, *, corrected: bool, searched: bool
) -> dict[str, NumberEstimate]:
    """The numbers with a word on whether they are told from what the equation lacks.

    In a corrected model with the terms that were missing they are those of the fit with them.
    """
    if judged is None or not searched:
        return numbers
    if corrected and judged.explained and judged.terms is not None:
        beside = {name: NumberEstimate.from_json(entry) for name, entry in judged.terms.parameters.items()}
        told = not judged.terms.at_walls
        return {name: replace(number, separable=told and number.identifiable) for name, number in beside.items()}
    # Noise that is another than was said hides what the equation may lack.
    separable = None if judged.cause == "noise model" else judged.cause == "consistent"
    return {name: replace(number, separable=separable) for name, number in numbers.items()}


def _grid(equation: Equation, *, uniform: bool) -> dict[str, Any]:
    """Cells by axis, the order of the scheme, and keys of a more accurate one that the equation may have.

    Args:
        uniform: whether what is learnt are numbers.
    """
    config = equation.config
    cells = dict(zip(config.grid.axes, config.grid.resolution, strict=True))
    uniform = uniform and all(torch.as_tensor(v).ndim == 0 for v in config.true_parameters.values())
    own = {key: getattr(config, key) for key in config.smooth} | config.chosen
    keys = {key: value for key, value in config.smooth.items() if own[key] != value} if uniform else {}
    if keys:
        try:
            build_equation({**config.model_dump(), **config.smooth})
        except ValueError:  # not between these walls, say
            keys = {}
    return {"cells": cells, "order": config.convergence_order, "accurate": keys}
