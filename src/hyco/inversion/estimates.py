"""The result of a calibration so far, from the model and the record of what was done."""

from __future__ import annotations

import math
from dataclasses import replace

from hyco.inversion.calibrated_model import CalibratedModel
from hyco.inversion.config import InversionConfig
from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.field_estimates import field_estimates
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.progress import Progress


def current_estimate(
    problem: InverseProblem, model: CalibratedModel, progress: Progress, config: InversionConfig
) -> PhysicalEstimate:
    """The estimates of the parameters now: with error bars where these have been worked out."""
    numbers, assessment = model.numbers(), model.assessment
    prior = None if problem.initial_states is None else problem.initial_states.prior
    fields = field_estimates(model.space, model.theta, assessment)
    estimate = PhysicalEstimate(
        numbers,
        fields,
        {n: float(v) for n, v in model.space.to_values(model.theta).items() if n not in fields},
        initial_state_prior=None if prior is None else prior.to_json(),
        alternative_minima=progress.alternative_minima,
        outcome=progress.outcome,
        weights=dict(model.space.weights),
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
    freedom = assessment.uncertainty.freedom
    return replace(
        estimate,
        covariance=assessment.uncertainty.covariance,
        labels=tuple(model.space.labels[i] for i in assessment.kept.tolist()),
        identifiability=assessment.identifiability.to_dict(),
        # JSON has no infinity.
        reduced_chi_square=chi_square if math.isfinite(chi_square) else None,
        outliers=assessment.outliers,
        degrees_of_freedom=freedom if math.isfinite(freedom) else None,
    )
