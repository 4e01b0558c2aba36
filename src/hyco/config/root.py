"""The root model: all sections of the parameters, each with the model of the part that owns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator

from hyco.comparison import CompareConfig
from hyco.compute import ComputeConfig
from hyco.config.errors import ConfigurationError
from hyco.config.resolution import resolve_hybrid
from hyco.equations.equation import EquationConfig
from hyco.equations.registry import equation_config
from hyco.hybrid.config import HybridConfig
from hyco.measurements.config import MeasurementsConfig
from hyco.observations import ObservationConfig
from hyco.predictions.config import PredictConfig
from hyco.stepping.generation import GenerationConfig
from hyco.training.config import SyntheticConfig
from hyco.training.physical import PhysicalConfig

Terminal = Literal["auto", "lines", "verbose", "quiet"]
Device = Literal["auto", "cpu", "cuda"]


class EvaluationConfig(BaseModel):
    """Keys of the `evaluation` section."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, strict=True)

    simulation: NonNegativeInt = Field(default=0, description="which of test_sim the pictures show, by position")
    channel: NonNegativeInt = Field(default=0, description="which channel the pictures show")
    # What a GIF can say of 60 frames: at most 655 s each, also of equal ones together, and no less than 0.02 s.
    frames_per_second: float = Field(default=10.0, ge=0.1, le=50, description="speed of the animation")


class Configuration(BaseModel):
    """Everything that describes an experiment."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, arbitrary_types_allowed=True)

    experiment: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name, and folder of all outputs")
    notes: str = Field(default="", description="free text that goes with the run")
    # Strict where the pipelines take the value as it stands: a text like "3" or "no" is none of these.
    seed: NonNegativeInt = Field(default=0, strict=True, description="seed of all random streams")
    device: Device = Field(default="auto", description="where the models run")
    threads: PositiveInt | None = Field(
        default=None, strict=True, description="CPU threads of torch; null: as many as cores"
    )
    resume: bool = Field(
        default=False, strict=True, description="continue the last checkpoint of the same configuration"
    )
    terminal: Terminal = Field(
        default="auto",
        description="what a run shows: auto: a live panel on a terminal, else lines; lines: one every ten seconds at "
        "most; verbose: what Kedro and MLflow say, too; quiet: warnings, and where the report is",
    )
    profile: bool = Field(
        default=False, strict=True, description="record which tensor operators the trainings spend their time in"
    )
    equation: EquationConfig
    measurements: MeasurementsConfig | None = Field(
        default=None, description="a file to read instead of simulating; null or {}: simulations"
    )
    generation: GenerationConfig
    observation: ObservationConfig
    synthetic: SyntheticConfig
    physical: PhysicalConfig
    hybrid: HybridConfig
    evaluation: EvaluationConfig = Field(default=EvaluationConfig())
    compare: CompareConfig = Field(default=CompareConfig())
    compute: ComputeConfig = Field(default=ComputeConfig())
    predict: PredictConfig = Field(default=PredictConfig())

    @field_validator("measurements", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return None if value == {} else value

    @field_validator("equation", mode="before")
    @classmethod
    def _equation_by_name(cls, value: Any) -> Any:
        return equation_config(dict(value)) if isinstance(value, Mapping) else value


def parse_device(name: str) -> torch.device:
    """The torch device of `device: auto | cpu | cuda`.

    Raises:
        ConfigurationError: there is no such device, or cuda is asked for where there is none.
    """
    if name not in get_args(Device):
        raise ConfigurationError(f"device: {name!r} is not allowed; allowed: {', '.join(get_args(Device))}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("device: 'cuda' is not available here; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def build(parameters: Mapping[str, Any]) -> Configuration:
    """The configuration, with the hybrid's parts laid over the sections of their names.

    Raises:
        pydantic.ValidationError: a section is wrong by itself.
    """
    data = dict(parameters)
    if all(isinstance(data.get(k), Mapping) for k in ("hybrid", "synthetic", "physical")):
        data["hybrid"] = resolve_hybrid(data["hybrid"], data["synthetic"], data["physical"])
    return Configuration.model_validate(data)
