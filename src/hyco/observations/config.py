"""The keys of the `observation` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, model_validator

from hyco.observations.cells import CenterSpace, FullSpace, PointsSpace, RangeSpace
from hyco.observations.interpolation import Method
from hyco.observations.points import MovingSpace, SamplesSpace
from hyco.observations.times import FullTime, Time

Space = Annotated[
    FullSpace | RangeSpace | CenterSpace | PointsSpace | SamplesSpace | MovingSpace, Field(discriminator="mode")
]
InitialState = Literal["exact", "full", "observed"]


class HoldoutConfig(BaseModel):
    """Keys of `observation.holdout`: what is kept back of the training simulations, after t = 0."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="part that is kept back of what `by` counts, rounded up"
    )
    by: Literal["points", "sensors", "times", "end"] = Field(
        default="points",
        description="points: single places and times at random; sensors: places, at all times; times: all places at "
        "times drawn at random; end: the last times",
    )


class ObservationConfig(BaseModel):
    """Keys of the `observation` section."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    train_sim: list[NonNegativeInt] = Field(min_length=1, description="simulations to train on, by index")
    val_sim: list[NonNegativeInt] = Field(default=[], description="simulations to validate on")
    test_sim: list[NonNegativeInt] = Field(default=[], description="simulations to test on")
    noise: NonNegativeFloat = Field(default=0.0, description="standard deviation of the noise over noise_reference")
    noise_reference: Literal["std", "max", "absolute"] = Field(
        default="std", description="std or max |value| of each channel over the training simulations, or 1"
    )
    initial_state: InitialState = Field(
        default="exact",
        description="how the state at t = 0 is known: exactly, in full but noisy, or observed like every other state",
    )
    window_start: Literal["observed", "truth"] = Field(
        default="observed", description="where a later training window starts: from observations, or the hidden truth"
    )
    space: Space = Field(default=FullSpace(), description="observed places")
    interpolation: Method = Field(
        default="cubic", description="how a state is read between its entries; linear where it is not smooth"
    )
    time: Time = Field(default=FullTime(), description="observed times")
    holdout: HoldoutConfig | None = Field(
        default=None, description="measurements of the training simulations to judge models by; null: none"
    )

    @model_validator(mode="after")
    def _disjoint(self) -> ObservationConfig:
        groups = {"train_sim": self.train_sim, "val_sim": self.val_sim, "test_sim": self.test_sim}
        seen: dict[int, str] = {}
        for name, simulations in groups.items():
            for simulation in simulations:
                if simulation in seen:
                    raise ValueError(f"simulation {simulation} is in {seen[simulation]} and again in {name}")
                seen[simulation] = name
        return self
