"""The configuration of a network's training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator

from hyco.networks.network import network_config
from hyco.training.schedules import SchedulerConfig
from hyco.training.validation import StoppingConfig


class Curriculum(BaseModel):
    """Keys of `curriculum`: training rollouts that grow from `start` steps to `num_predict_steps`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    start: PositiveInt = Field(default=1, description="steps of the first training rollouts")
    epochs: PositiveInt = Field(description="epoch from which they have their whole length")

    def length(self, epoch: int, longest: int) -> int:
        """Steps of the rollouts in an epoch, counted from 1."""
        if epoch >= self.epochs or self.start >= longest:
            return longest
        return self.start + int((longest - self.start) * (epoch - 1) / max(self.epochs - 1, 1))


class SyntheticConfig(StoppingConfig):
    """Keys of the `synthetic` section."""

    network: dict[str, Any] = Field(description="architecture: `name` and its own keys")
    epochs: PositiveInt = Field(default=100, description="epochs, when trained alone")
    num_predict_steps: PositiveInt = Field(default=5, description="steps of each training rollout, when trained alone")
    learning_rate: PositiveFloat = Field(default=1e-3, description="first learning rate")
    batch_size: PositiveInt = Field(default=16, description="windows per update")
    optimizer: Literal["adam", "adamw", "sgd", "levenberg_marquardt"] = Field(
        default="adam",
        description="optimiser; levenberg_marquardt: one step per epoch, over all its batches, for networks of few "
        "weights (pseudospectral); learning_rate, scheduler, gradient_clip and weight_decay are not for it",
    )
    scheduler: SchedulerConfig = Field(default=SchedulerConfig(), description="learning rate over the epochs")
    weight_decay: NonNegativeFloat = Field(default=0.0, description="weight decay of the optimiser")
    use_sliding_window: bool = Field(default=False, description="a window at every state, not one after the other")
    gradient_clip: PositiveFloat | None = Field(default=1.0, description="largest norm of the gradient; null: none")
    rate_reductions: int = Field(
        default=3,
        ge=0,
        le=20,
        description="times that training goes back to the epoch before and on with a tenth of the learning rate, where "
        "weights or the optimiser's state are not finite; one more is an error",
    )
    curriculum: Curriculum | None = Field(default=None, description="rollouts that grow over the epochs; null: none")
    backpropagation_steps: PositiveInt | None = Field(
        default=None,
        description="steps that the gradient flows through at a time (1: the pushforward trick); null: all",
    )
    input_noise: NonNegativeFloat = Field(
        default=0.0,
        description="std of noise on the windows' initial states while it trains; that of the states is 1",
    )
    ema_decay: float | None = Field(
        default=None, gt=0, lt=1, description="decay per update of the averaged weights that predict; null: no average"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="bfloat16: mixed precision inside the network while it trains"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="compute each step again for the gradient instead of storing it"
    )
    points_per_update: PositiveInt = Field(default=1000, description="coordinate networks: measured points per update")
    updates_per_epoch: PositiveInt = Field(default=50, description="coordinate networks: updates per epoch")
    ghost_points: PositiveInt = Field(
        default=200,
        description="coordinate networks, in a hybrid: places and times per update where the models meet",
    )

    @field_validator("network")
    @classmethod
    def _validated_network(cls, data: dict[str, Any]) -> dict[str, Any]:
        return network_config(data).model_dump()

    @field_validator("scheduler", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
