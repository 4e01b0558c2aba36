"""What is compared: the `compare` section, and the parameters that each method is trained with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from hyco.baselines.pinn import PinnTraining, obstacle
from hyco.training.physical import PhysicalConfig

Method = Literal["persistence", "synthetic", "physical", "pinn", "sequence", "hybrid", "hybrid_auto"]

# What each method trains; persistence is no model.
_PARTS: dict[str, tuple[str, ...]] = {
    "persistence": (),
    "synthetic": ("synthetic",),
    "physical": ("physical",),
    "pinn": ("synthetic", "physical"),
    "sequence": ("synthetic", "physical"),
    "hybrid": ("synthetic", "physical"),
    "hybrid_auto": ("synthetic", "physical"),
}
# Sections that a variant may change: the others say what is predicted, which is the same for all.
_CHANGEABLE = ("observation", "synthetic", "physical", "hybrid")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SEEDS = re.compile(r"(\d+)-(\d+)")


class Variant(BaseModel):
    """A method with other parameters, beside the one with those of the experiment."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    method: Method = Field(description="which method it is one of")
    overrides: dict[str, dict[str, Any]] = Field(
        default={}, description="keys laid over the sections `observation`, `synthetic`, `physical` and `hybrid`"
    )

    @field_validator("overrides")
    @classmethod
    def _changeable(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if wrong := sorted(set(value) - set(_CHANGEABLE)):
            raise ValueError(f"{', '.join(wrong)} cannot be overridden here; allowed: {', '.join(_CHANGEABLE)}")
        lists = [key for key in ("train_sim", "val_sim", "test_sim") if key in value.get("observation", {})]
        if lists:
            raise ValueError(f"observation.{lists[0]} cannot be overridden here: all have the same simulations")
        return value


class CompareConfig(BaseModel):
    """Keys of the `compare` section."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    seeds: list[NonNegativeInt] = Field(
        default=[0, 1, 2, 3, 4], description="each draws data, weights and batches anew; a list, or a text like 0-4"
    )
    methods: list[Method] | None = Field(
        default=None, description="a list, or names joined by +; null: all that apply, `none`: variants alone"
    )
    variants: dict[str, Variant] = Field(default={}, description="methods with other parameters, by name")
    alpha: float = Field(
        default=0.5, ge=0, le=1, description="alpha of `hybrid` and `sequence` where hybrid.alpha is auto"
    )
    pinn: PinnTraining = Field(
        default=PinnTraining(), description="training of `pinn`, which has the network and the unknowns of the others"
    )
    draws: PositiveInt = Field(default=10_000, description="bootstrap draws of the intervals of ratios")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="confidence of the intervals of ratios")

    @field_validator("seeds", mode="before")
    @classmethod
    def _first_to_last(cls, value: Any) -> Any:
        if isinstance(value, int):
            return [value]
        if isinstance(value, str):
            match = _SEEDS.fullmatch(value)
            if match is None:
                raise ValueError(f"{value!r} is neither a list nor a text like 0-4")
            return list(range(int(match[1]), int(match[2]) + 1))
        return value

    @field_validator("methods", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [] if value == "none" else value.split("+")
        return value

    @field_validator("seeds", "methods")
    @classmethod
    def _once(cls, value: list[Any] | None) -> list[Any] | None:
        if value is not None and (twice := [v for i, v in enumerate(value) if v in value[:i]]):
            raise ValueError(f"{twice[0]!r} is there twice")
        return value

    @model_validator(mode="after")
    def _names_apart(self) -> CompareConfig:
        if not self.seeds:
            raise ValueError("seeds is empty; give at least one")
        if self.methods == [] and not self.variants:
            raise ValueError("methods is empty and there are no variants: nothing to compare; null takes all methods")
        owners: dict[str, str] = {result: method for method in _PARTS for result in results(method, method)}
        for name, variant in self.variants.items():
            if _NAME.fullmatch(name) is None or name in _PARTS:
                raise ValueError(f"variants: {name!r} is no name; take letters, digits and _, and none of a method")
            for result in results(name, variant.method):
                if result in owners:
                    raise ValueError(f"variants: {name!r} and {owners[result]!r} would both be called {result!r}")
                owners[result] = name
        return self

    def overrides(self, parameters: Mapping[str, Any]) -> dict[str, tuple[str, list[Mapping[str, Any]]]]:
        """Every method and variant by name: its method, and what is laid over the parameters, one after the other.

        A physics-informed network applies where the network is one of coordinates and no weight of a regularisation
        is to be chosen; `sequence` and `hybrid_auto` do where the network does not correct the physical step.
        """
        said: dict[str, Any] = {} if parameters["hybrid"].get("strategy") is None else {"strategy": None}
        fixed = ({"alpha": self.alpha} if parameters["hybrid"].get("alpha") == "auto" else {}) | said
        makes: dict[str, dict[str, Any]] = {
            "sequence": {"hybrid": {**fixed, "sequential": True}},
            "hybrid": {"hybrid": {**fixed, "sequential": False}},
            "hybrid_auto": {"hybrid": {"alpha": "auto", "sequential": False, **said}},
        }
        methods = self.methods
        if methods is None:
            corrected = parameters["hybrid"].get("correction") not in (None, False)
            apart = {"sequence", "hybrid_auto"} if corrected else set()
            learnt = PhysicalConfig.model_validate(parameters["physical"]).learnable_parameters
            apart |= {"pinn"} if obstacle(parameters["synthetic"]["network"], learnt) else set()
            methods = [method for method in get_args(Method) if method not in apart]
        layers: dict[str, tuple[str, list[Mapping[str, Any]]]] = {m: (m, [makes.get(m, {})]) for m in methods}
        for name, variant in self.variants.items():
            layers[name] = variant.method, [makes.get(variant.method, {}), variant.overrides]
        return layers


def results(name: str, method: str) -> dict[str, str]:
    """What a training is tabled as: its models by name. One that trains two has `…_synthetic` and `…_physical`."""
    parts = _PARTS[method]
    return {f"{name}_{part}": part for part in parts} if len(parts) > 1 else {name: (parts or (method,))[0]}


@dataclass(frozen=True)
class Contender:
    """One method or variant with all that its result depends on but the seed.

    Attributes:
        name: of the method or variant.
        method: what is trained.
        sections: `equation`, `generation`, `observation`, and the section of the training (that of the hybrid with its
            parts resolved); plain JSON values.
    """

    name: str
    method: str
    sections: Mapping[str, Any]

    @property
    def results(self) -> dict[str, str]:
        """See `results`."""
        return results(self.name, self.method)
