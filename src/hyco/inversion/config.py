"""Keys of an inversion: what is unknown, what is known of it beforehand, and how it is looked for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator

from hyco.inversion.initial_state import InitialStatePrior
from hyco.parameters import LearnableParameter
from hyco.stepping.stepper import Path


class InversionConfig(BaseModel):
    """Keys of the `physical` section: what is unknown, and how it is looked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learnable_parameters: list[LearnableParameter] = Field(min_length=1, description="the unknown coefficients")
    method: Literal["L-BFGS-B", "Levenberg-Marquardt", "Adam"] = Field(default="L-BFGS-B", description="optimiser")
    abs_tol: PositiveFloat = Field(default=1e-6, description="smallest decrease of the loss worth going on for")
    max_iterations: PositiveInt | None = Field(
        default=None, description="iterations of one update; null: `epochs` of them in a single update"
    )
    epochs: PositiveInt = Field(default=50, description="updates (or iterations, see max_iterations), when alone")
    num_predict_steps: PositiveInt = Field(default=5, description="steps of the rollout from t = 0, when alone")
    horizons: list[PositiveInt] = Field(
        default=[],
        description="shorter rollouts to begin the first update with, in steps and rising; longer ones are left out",
    )
    starts: PositiveInt = Field(
        default=1, description="first guesses of the first update, spread over the bounds; all in one batch"
    )
    jacobian: Literal["auto", "differences", "reverse"] = Field(
        default="auto",
        description="Levenberg-Marquardt: a batch of perturbed copies, or reverse mode row by row; auto: the shorter",
    )
    learning_rate: PositiveFloat = Field(default=0.02, description="Adam: size of a step, the bounds being 1 wide")
    initial_state: InitialStatePrior | None = Field(
        default=None, description="prior of initial states that are not known exactly; null: none"
    )
    suppress_convergence_errors: bool = Field(
        default=False, description="reaching the iteration limit is expected: go on with the best parameters"
    )
    equation: dict[str, Any] = Field(
        default={},
        description="what the physical model believes of the equation, where it differs: keys laid over `equation`, "
        "which the data keep; another `name` replaces it",
    )
    resolution: dict[str, PositiveInt] | None = Field(
        default=None,
        description="cells of the physical model's own grid, by axis; they divide the data's; null: the same",
    )
    execution: Path = Field(
        default="auto",
        description="how the equation's step is run; auto: compiled where `epochs` iterations of the configured size "
        "take much longer than a compilation and there is a C++ compiler, else traced",
    )
    memory_budget: PositiveFloat = Field(
        default=4000.0,
        description="what the gradient of a rollout may take; a longer one is computed in segments, for a third more "
        "time [MB]",
    )

    @field_validator("horizons")
    @classmethod
    def _rising(cls, horizons: list[int]) -> list[int]:
        if sorted(set(horizons)) != horizons:
            raise ValueError(f"horizons must rise, got {horizons}")
        return horizons
