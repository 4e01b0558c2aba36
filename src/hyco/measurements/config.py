"""The keys of the `measurements` section: what a file of measurements holds, and under which names."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator, model_validator

from hyco.expressions import Expression

# `std` of noise that the residuals of a fit have to tell.
ESTIMATE = "estimate"

Sigma = PositiveFloat | str


class MeasurementsConfig(BaseModel):
    """Keys of the `measurements` section.

    A value v of the file becomes scale × v in the units of the equation, a time t becomes scale × (t - start). Channels
    of vectors may be written with a space: `velocity x` is `velocity_x`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(
        description="path of the file: .csv, .parquet (tables) or .nc, .zarr, .h5, .hdf5, .mat, .npz, .npy (arrays)"
    )
    format: Literal["auto", "table", "array", "pdebench", "the_well"] = Field(
        default="auto",
        description="what is in the file; auto: by its ending, of HDF5 also a layout by its arrays and groups; array: "
        "HDF5 by the paths of its arrays; pdebench: `tensor:1` is the second field of an array of several, times and "
        "positions may be `t`, `x`, `y`, `z`; the_well: `velocity:0` or `velocity x` is a component",
    )
    time: str | None = Field(
        default="time", description="column or variable of the times, numbers or dates; null for a static problem"
    )
    axes: dict[str, str] = Field(min_length=1, description="for each axis of the domain the column or variable of it")
    simulation: str | None = Field(
        default=None,
        description="column, variable or dimension that tells trajectories apart, in pdebench and the_well any word; "
        "null: there is one",
    )
    fields: dict[str, str] = Field(
        min_length=1, description="for each measured channel of the equation its column or variable"
    )
    std: Sigma | dict[str, Sigma] = Field(
        default=ESTIMATE,
        description="standard deviation of the noise: a number in units of the channel, a column or variable, or "
        "estimate (from the residuals); one for all channels or by channel",
    )
    scale: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default={}, description="what values of the file are multiplied with, for time, an axis or a channel"
    )
    start: float | str | None = Field(
        default=None, description="time of t = 0 as the file has it, a number or a date; null: the earliest"
    )
    initial: dict[str, str | float] | None = Field(
        default=None, description="formula of the position for each channel, where the state at t = 0 is known exactly"
    )

    @field_validator("fields", "std", "scale", "initial", mode="before")
    @classmethod
    def _channels_by_their_names(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {key.replace(" ", "_") if isinstance(key, str) else key: v for key, v in value.items()}

    @field_validator("std", mode="before")
    @classmethod
    def _noise(cls, value: object) -> object:
        for given in value.values() if isinstance(value, dict) else [value]:
            number = isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < math.inf
            if not number and not (isinstance(given, str) and given):
                raise ValueError(f"{given!r} is not allowed; allowed: a positive number, a name, or estimate")
        return value

    @model_validator(mode="after")
    def _one_role_each(self) -> MeasurementsConfig:
        roles = {"time": self.time, "simulation": self.simulation}
        roles |= {f"axes.{axis}": name for axis, name in self.axes.items()}
        roles |= {f"fields.{channel}": name for channel, name in self.fields.items()}
        seen: dict[str, str] = {}
        for role, name in roles.items():
            if name is not None and name in seen:
                raise ValueError(f"{name!r} is {seen[name]} and {role}: a column or variable is one of them")
            if name is not None:
                seen[name] = role
        return self

    @field_validator("initial")
    @classmethod
    def _formulas(cls, initial: dict[str, str | float] | None) -> dict[str, str | float] | None:
        for formula in (initial or {}).values():
            Expression(str(formula))
        return initial

    @model_validator(mode="after")
    def _sensible_scales(self) -> MeasurementsConfig:
        for name, factor in self.scale.items():
            if factor == 0 or (factor < 0 and name in ("time", *self.axes)):
                kind = "positive" if name in ("time", *self.axes) else "other than 0"
                raise ValueError(f"scale.{name} must be {kind}, got {factor:g}")
        if isinstance(self.start, float) and not math.isfinite(self.start):
            raise ValueError(f"start must be finite, got {self.start}")
        return self

    @property
    def stds(self) -> dict[str, float | str]:
        """What is said of the noise of each measured channel; a channel that `std` does not name is not in it."""
        return dict(self.std) if isinstance(self.std, dict) else dict.fromkeys(self.fields, self.std)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names in the file of times and positions."""
        return (*(() if self.time is None else (self.time,)), *self.axes.values())

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names in the file of values and of standard deviations."""
        stds = [std for std in self.stds.values() if isinstance(std, str) and std != ESTIMATE]
        return tuple(dict.fromkeys([*self.fields.values(), *stds]))
