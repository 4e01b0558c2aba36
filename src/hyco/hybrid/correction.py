"""A learnt correction of the physical step, with the solver in the loop: for physics that lacks something.

The synthetic model of such a hybrid is u ← S_θ(u) + s_Δ · C((S_θ(u) - m) / s), with the physical step S_θ and a network
C whose last layer starts at zero, so that it starts as the physics. Its rollouts are trained through the solver. The
physical model is fitted to real data with C in its steps, frozen. Terms that the equation lacks, where they were found
(`hyco.inversion.missing_terms`), are part of S_θ.

Source: K. Um, R. Brand, Y. Fei, P. Holl and N. Thuerey, NeurIPS 2020, arXiv:2007.00016.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from hyco.equations.registry import build_equation
from hyco.fields import Layout
from hyco.inversion.term_library import library
from hyco.inversion.terms import AddedTerms
from hyco.networks import models
from hyco.networks.network import network_config
from hyco.networks.network_model import NetworkModel
from hyco.networks.synthetic import Base, SyntheticModel
from hyco.runtime.storage import Bundle, prefixed, unprefixed
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.stepper import execution_after_training
from hyco.trained_model import Time


class CorrectionConfig(BaseModel):
    """Keys of `hybrid.correction`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    network: dict[str, Any] | None = Field(
        default=None, description="architecture of the correction; null: that of `synthetic`"
    )

    terms: bool = Field(
        default=True,
        description="first look for terms that the equation lacks: where they leave little to explain they are part "
        "of the step, and the parameters are those of the fit with them",
    )

    @field_validator("network")
    @classmethod
    def _validated_network(cls, data: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if data is None else network_config(data).model_dump()


class PhysicalStep(Base):
    """A physical step of normalised states, with gradient, in their dtype.

    Args:
        physical: the model on its own grid.
        parameters: values for it, as the stepper takes them; they are part of the state of this module.
        mean, std: statistics of the states, `[C, 1, …]`.
        valid: which entries are no padding, `[C, *space]`; None: all.
    """

    mean: Tensor
    std: Tensor
    valid: Tensor | None
    terms: Tensor

    def __init__(
        self, physical: PhysicalModel, parameters: Mapping[str, Tensor], mean: Tensor, std: Tensor, valid: Tensor | None
    ) -> None:
        super().__init__()
        self.physical, self.names = physical, sorted(parameters)
        self._added = added_terms(physical)
        self.register_buffer("terms", self._added.coefficients[0].to(mean.device))
        for name, value in parameters.items():
            self.register_buffer(f"parameter_{name}", value.detach().double().clone())
        # Those of the model that this is the base of, which holds them in its file.
        for name, statistic in (("mean", mean), ("std", std), ("valid", valid)):
            self.register_buffer(name, statistic, persistent=False)

    @classmethod
    def of(cls, model: SyntheticModel, physical: PhysicalModel, parameters: Mapping[str, Tensor]) -> PhysicalStep:
        """The step that a network is to correct, with its statistics, where it is."""
        return cls(physical, parameters, model.mean, model.std, model.valid).to(model.device)

    def set_parameters(self, parameters: Mapping[str, Tensor]) -> None:
        """Put other values in the place of the present ones."""
        for name in self.names:
            self.get_buffer(f"parameter_{name}").copy_(parameters[name])

    def set_terms(self, coefficients: Tensor) -> None:
        """Coefficients of all terms of the library, `[m]`."""
        self.terms.copy_(coefficients)

    def forward(self, z: Tensor, time: Time = 0.0, number: int = 0) -> Tensor:
        """`[B, C, *space]` to `[B, C, *space]`, so many steps after a rollout began at `time`."""
        # The solver has no mixed precision.
        with torch.autocast(z.device.type, enabled=False):
            mean, std = self.mean.to(z.dtype), self.std.to(z.dtype)
            values = {name: self.get_buffer(f"parameter_{name}").to(z.dtype) for name in self.names}
            state = mean + std * z
            self._added.set(self.terms[None])
            state = self._added.before(state)
            state = self._added(self.physical.bind(state, values, time)(state, number))
            after = (state - mean) / std
            return after if self.valid is None else torch.where(self.valid, after, 0.0)

    def describe(self) -> dict[str, Any]:
        """The equation on its own grid, the names of its parameters, and how its step is run."""
        section = self.physical.equation.config.model_dump(mode="json")
        return {"equation": section, "execution": self.physical.stepper.execution}


def model_from_bundle(bundle: Bundle) -> NetworkModel:
    """A network from its file, with the physical step that it corrects, if it does.

    Raises:
        ValueError: the bundle holds something else.
    """
    described = bundle.metadata.get("base")
    if described is None:
        return models.model_from_bundle(bundle)
    layout = Layout.from_dict(bundle.metadata["layout"])
    physical = PhysicalModel(
        build_equation(described["equation"]), layout, execution_after_training(described["execution"])
    )
    prefix = "base.parameter_"
    values = {name.removeprefix(prefix): v for name, v in bundle.tensors.items() if name.startswith(prefix)}
    # Files of earlier versions have no terms.
    tensors = {"base.terms": added_terms(physical).coefficients[0], **bundle.tensors}
    return SyntheticModel.from_bundle(
        Bundle(tensors, bundle.metadata), lambda model: PhysicalStep.of(model, physical, values)
    )


def added_terms(physical: PhysicalModel) -> AddedTerms:
    """All terms of the library for the states of a physical model, with coefficients 0."""
    return AddedTerms(library(physical.layout), physical.layout, physical.equation.dt)


def correctable(model: NetworkModel) -> SyntheticModel:
    """A network as one that can correct a step.

    Raises:
        ValueError: it does not step states.
    """
    if not isinstance(model, SyntheticModel):
        raise ValueError("correction needs a network that steps states")
    return model


class FrozenCorrection:
    """What goes with a physical step: missing terms, and a network, u ← u + s_Δ C((u - m) / s), in float64.

    The precision is that of the physics, whose derivatives are differences.

    Args:
        model: the network, before it corrects a step; it adds nothing before the first `take`.
        dt: length of a step.

    Attributes:
        has_terms: whether missing terms were found.
    """

    def __init__(self, model: SyntheticModel, dt: float) -> None:
        self._added = AddedTerms(library(model.layout), model.layout, dt)
        self.has_terms = self._taken = False
        self._model = copy.deepcopy(model)
        self._model.double().eval().requires_grad_(False)

    @property
    def active(self) -> bool:
        """Whether it does anything yet."""
        return self._taken or self.has_terms

    def take_terms(self, coefficients: Tensor) -> None:
        """From now on each step has the terms of the library with these coefficients `[m]` beside it."""
        self._added.set(coefficients[None])
        self.has_terms = bool(coefficients.any())

    def take(self, model: SyntheticModel) -> None:
        """From now on as this model is."""
        self._model.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("base.")})
        self._taken = True

    def before(self, states: Tensor) -> Tensor:
        """Half a step of the terms: `[B, C, *space]` to `[B, C, *space]`, float64, with gradient."""
        return self._added.before(states)

    def __call__(self, states: Tensor) -> Tensor:
        """The other half, and the network, likewise."""
        states = self._added(states)
        return states + self._model.change(states) if self._taken else states

    def state(self) -> dict[str, Tensor]:
        """What changes during training: nothing before the first `take` or `take_terms`."""
        terms = {"terms": self._added.coefficients[0]} if self.has_terms else {}
        return terms | (prefixed("network", self._model.state_dict()) if self._taken else {})

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        if "terms" in state:
            self.take_terms(state["terms"])
        network = unprefixed("network", state)
        self._taken = bool(network)
        if network:
            self._model.load_state_dict(network)
