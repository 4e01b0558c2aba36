"""Keys of an inversion: what is unknown, the prior knowledge of it, and how it is estimated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from hyco.inversion.initial_prior import InitialStatePrior
from hyco.inversion.loss import Loss, Squares
from hyco.inversion.optimisers.minimiser import OptimiserConfig
from hyco.inversion.optimisers.registry import OPTIMISERS, optimiser_config
from hyco.parameters import LearnableParameter
from hyco.stepping.stepper import Execution

# Keys of single optimisers that may stand beside `method`, and whose they are.
_SHORT_KEYS = {"jacobian": "Levenberg-Marquardt", "learning_rate": "Adam"}


class InversionConfig(BaseModel):
    """Keys of the `physical` section: what is unknown, and how it is estimated."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    learnable_parameters: list[LearnableParameter] = Field(min_length=1, description="the unknown coefficients")
    method: str | dict[str, Any] = Field(
        default="L-BFGS-B", description="optimiser: its name, or `name` and its own keys (below)"
    )
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
        default=1, description="first guesses of the first update, spread over the bounds; see starts_at_once"
    )
    starts_at_once: PositiveInt | None = Field(
        default=None,
        description="how many of them are searched from in one batch of rollouts; null: all. Several batches are "
        "pieces of work for `compute`; last digits may depend on it",
    )
    scan: NonNegativeInt = Field(
        default=0,
        description="points within the bounds at which the first update looks before it begins, at the best of these "
        "and the first guess; of up to 16 unknowns; of measurements the default is 32",
    )
    first_guess: Literal["given", "weak_form"] = Field(
        default="given",
        description="where the first update starts: at initial_guess, or, where whole states were measured at equal "
        "distances in time, at what the weak form of one step after the other says, if that fits better",
    )
    jacobian: Literal["auto", "differences", "reverse"] | None = Field(
        default=None, description="short for `method: {name: Levenberg-Marquardt, jacobian: …}`"
    )
    learning_rate: PositiveFloat | None = Field(
        default=None, description="short for `method: {name: Adam, learning_rate: …}`"
    )
    initial_state: InitialStatePrior | None = Field(
        default=None,
        description="prior of initial states that are not known exactly; null: none, or, where "
        "observation.initial_state is observed, one from the measurements",
    )
    loss: Loss = Field(
        default=Squares(),
        description="of the measurements' residuals: squares or huber, a name or `{name: huber, delta: 1.345}`: those "
        "beyond delta standard deviations hardly pull then",
    )
    suppress_convergence_errors: bool = Field(
        default=False, description="reaching the iteration limit is expected: go on with the best parameters"
    )
    equation: dict[str, Any] = Field(
        default={},
        description="what the physical model assumes of the equation, where it differs: keys laid over `equation`, "
        "which the data keep; another `name` replaces it",
    )
    resolution: dict[str, PositiveInt] | None = Field(
        default=None,
        description="cells of the physical model's own grid, by axis; they divide the data's; null: the same",
    )
    discretisation: bool = Field(
        default=True,
        description="work out, at the end, what the error of the grid and the time step does to the estimates, by one "
        "rollout with twice as many cells along each axis",
    )
    profile: Literal["auto"] | bool = Field(
        default="auto",
        description="profile likelihood of learnt numbers at the end, for their intervals; auto: of up to five, where "
        "the linearised interval is suspect; true: of all",
    )
    missing_terms: bool = Field(
        default=False,
        description="where residuals follow the states, look at the end for terms that the equation lacks: those of a "
        "library that explain them best, each fitted with all unknowns, judged by χ² and held-out data",
    )
    execution: Execution = Field(
        default="auto",
        description="how the equation's step is run; auto: compiled where `epochs` iterations of the configured size "
        "take much longer than a compilation and there is a C++ compiler, else traced",
    )
    memory_budget: PositiveFloat = Field(
        default=4000.0,
        description="what the gradient of a rollout may take; a longer one is computed in segments, for a third more "
        "time [MB]",
    )

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_by_its_name(cls, loss: Any) -> Any:
        return {"name": loss} if isinstance(loss, str) else loss

    @field_validator("method", mode="before")
    @classmethod
    def _name_or_keys(cls, method: Any) -> Any:
        if not isinstance(method, str | Mapping):
            raise ValueError(f"{method!r} is not allowed; allowed: the name of an optimiser, or its name and keys")
        return method

    @field_validator("method")
    @classmethod
    def _optimiser_exists(cls, method: str | dict[str, Any]) -> str | dict[str, Any]:
        optimiser_config({"name": method} if isinstance(method, str) else method)
        return method

    @property
    def optimiser(self) -> OptimiserConfig:
        """The optimiser with its settings, those of the short keys among them."""
        given = {"name": self.method} if isinstance(self.method, str) else self.method
        keys = OPTIMISERS.load(str(given["name"])).config_class.model_fields
        short = {key: value for key, value in self._short_keys.items() if key in keys}
        return optimiser_config({**short, **given})

    @property
    def without_effect(self) -> dict[str, str]:
        """Short keys of another optimiser than the one that is chosen and the like, and what they need."""
        chosen = self.optimiser
        idle = [key for key in self._short_keys if key not in type(chosen).model_fields]
        found = {key: f"needs method: {_SHORT_KEYS[key]}; {chosen.name} has no such key" for key in idle}
        if self.starts_at_once is not None and self.starts_at_once >= self.starts:
            found["starts_at_once"] = f"needs more starts than that; physical.starts is {self.starts}"
        return found

    @property
    def _short_keys(self) -> dict[str, Any]:
        return {key: value for key in _SHORT_KEYS if (value := getattr(self, key)) is not None}

    @field_validator("horizons")
    @classmethod
    def _rising(cls, horizons: list[int]) -> list[int]:
        if sorted(set(horizons)) != horizons:
            raise ValueError(f"horizons must rise, got {horizons}")
        return horizons
