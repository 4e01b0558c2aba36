"""The keys of the `predict` section."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt

from hyco.inversion.posterior import DRAWS


class PredictConfig(BaseModel):
    """Keys of the `predict` section."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    initial_states: str | None = Field(
        default=None,
        description="file of states to begin with, .nc, .npz, .safetensors, or a table with a row for each cell "
        "(.csv), relative to the project; null: the end of the training simulations, as each model has it",
    )
    steps: PositiveInt | None = Field(
        default=None, strict=True, description="states to predict, each `equation.dt` later; null: as many as the data"
    )
    time: FiniteFloat = Field(
        default=0.0, description="t of the states of `initial_states`, for an equation that depends on it [time]"
    )
    samples: int = Field(
        default=50, ge=2, le=DRAWS, strict=True, description="draws of parameters and initial states, for error bars"
    )
