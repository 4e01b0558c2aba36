"""A physics-informed network, for comparison: a coordinate network and the unknown parameters, fitted together.

Source: M. Raissi, P. Perdikaris, G. E. Karniadakis, J. Comput. Phys. 378 (2019) 686, doi:10.1016/j.jcp.2018.10.045.
There the residual of the PDE is differentiated automatically; here it is that of the discretised equation, so that it
serves every equation, and the network meets the very scheme that the physical model is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import model_equation
from hyco.inversion.estimate import Outcome, PhysicalEstimate
from hyco.inversion.field_estimates import field_estimates
from hyco.inversion.linearisation import Box
from hyco.inversion.number_estimates import number_estimates
from hyco.inversion.open_ranges import filled_ranges
from hyco.losses import mean_square
from hyco.networks.coordinate_model import CoordinateModel
from hyco.networks.network import network_config
from hyco.observations import Observations
from hyco.observations.changes import change_std
from hyco.observations.weights import sigma_of_mean_weight
from hyco.parameters import LearnableParameter, ParameterSpace
from hyco.runtime.monitoring import peak_rss_bytes
from hyco.runtime.random_streams import stream
from hyco.runtime.storage import Bundle
from hyco.stepping.stepper import Execution, Stepper
from hyco.training.coordinate import Measured
from hyco.training.schedules import SchedulerConfig

log = logging.getLogger(__name__)


class PinnTraining(BaseModel):
    """Keys of how a physics-informed network is trained."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    updates: PositiveInt = Field(default=5000, description="steps of Adam")
    learning_rate: PositiveFloat = Field(default=3e-3, description="first learning rate of the network")
    parameter_learning_rate: PositiveFloat = Field(
        default=5e-3, description="first step size of the parameters, the bounds being 1 wide"
    )
    scheduler: SchedulerConfig = Field(default=SchedulerConfig(), description="both rates over the updates")
    residual_weight: NonNegativeFloat = Field(
        default=0.01,
        description="weight of the equation's residual, in units of the changes in one step; the data's is 1",
    )
    points_per_update: PositiveInt = Field(default=1000, description="measured points per update")
    times_per_update: PositiveInt = Field(default=4, description="random times per update where the equation is tested")
    execution: Execution = Field(default="auto", description="how the equation's step is run")


class PinnConfig(PinnTraining):
    """The same with what is trained, and on which equation."""

    learnable_parameters: list[LearnableParameter] = Field(min_length=1, description="the unknown coefficients")
    network: dict[str, Any] = Field(default={"name": "mlp"}, description="a coordinate network: `name` and its keys")
    equation: dict[str, Any] = Field(
        default={}, description="what it assumes of the equation, where it differs: `physical.equation`"
    )

    @field_validator("network")
    @classmethod
    def _coordinate_network(cls, data: dict[str, Any]) -> dict[str, Any]:
        config = network_config(data)
        if config.stepping:
            raise ValueError(f"{config.name} steps states; a physics-informed network is one of coordinates: mlp")
        return config.model_dump()


def obstacle(network: Mapping[str, Any], learnable_parameters: Iterable[LearnableParameter]) -> str | None:
    """Why there is no physics-informed network for a valid section `synthetic.network` and unknowns, or None."""
    config = network_config(network)
    if config.stepping:
        return f"pinn needs a network of coordinates, synthetic.network is {config.name}: take mlp"
    for p in learnable_parameters:
        if p.regularised is not None and p.chooses_weight:
            return f"pinn needs a number as regularisation.weight of {p.name}, which is {p.regularised.weight}"
    return None


def train_pinn(
    equation: Equation, observations: Observations, config: PinnConfig, seed: int, *, device: torch.device
) -> tuple[Bundle, dict[str, Any]]:
    """Fit a coordinate network N and parameters θ to the data and to the equation's step S_θ at once.

    The loss is the mean of ((N - y)/s)² over measured points plus `residual_weight` times the mean of
    ((N(·, t + dt) - S_θ(N(·, t)))/s_Δ)² over all cells at random times t, with the statistics s, s_Δ of the states and
    of their changes. Residuals of priors count as further data, with the noise that the measurements have. A static
    problem has no t: N - S_θ. S is the step of the equation that the physical model assumes, on the grid of the
    data: a network has no grid of its own.

    Args:
        equation: that of the data.
        seed: of the run; weights, measured points and times have streams of their own.

    Returns:
        The network as `final_synthetic_model` has one, and the parameters as `final_physical_model` has them; there is
        no honest standard deviation, so that `std` is None.

    Raises:
        FloatingPointError: the loss is not finite.
        ValueError: the equation has staggered fields, or nothing is observed.
    """
    began = time.perf_counter()
    mean, std = observations.statistics()
    model = CoordinateModel.create(
        config.network,
        observations.layout,
        dt=observations.dt,
        steps=observations.steps,
        mean=mean,
        std=std,
        seed=seed,
    ).to(device)
    fit = _Fit(equation, observations, config, model, device)
    optimizer = torch.optim.Adam(
        [
            {"params": list(model.parameters()), "lr": config.learning_rate},
            {"params": [fit.moved], "lr": config.parameter_learning_rate},
        ]
    )
    first_rates = [float(group["lr"]) for group in optimizer.param_groups]
    batches, times = stream(seed, "pinn", "batches"), stream(seed, "pinn", "times")
    for update in range(1, config.updates + 1):
        for group, rate in zip(optimizer.param_groups, first_rates, strict=True):
            group["lr"] = rate * config.scheduler.factor(update, config.updates)
        loss = fit.loss(batches, times)
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                f"the physics-informed network's loss is not finite at update {update}: lower learning_rate or "
                "parameter_learning_rate"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        fit.project()
    training = {
        "training": "pinn",
        "epochs": config.updates,
        "wall_seconds": time.perf_counter() - began,
        "seconds": {"synthetic": time.perf_counter() - began},
        "peak_rss_bytes": peak_rss_bytes(),
    }
    log.info("Physics-informed network: loss %.4g after %d updates.", float(loss.detach()), config.updates)
    network = model.to("cpu").to_bundle()
    physical = {
        "kind": "physical_model",
        "equation": equation.config.name,
        **fit.estimate().to_json(),
        "training": training,
    }
    return Bundle(network.tensors, {**network.metadata, "training": training, "epoch": config.updates}), physical


class _Fit:
    """The loss of a network and parameters.

    Attributes:
        ranges: numbers for keys of the equation that are `auto`.
        moved: the parameters' coordinates, from their start and in units of the bounds' width, `[p]` with gradient.
    """

    def __init__(
        self,
        equation: Equation,
        observations: Observations,
        config: PinnConfig,
        model: CoordinateModel,
        device: torch.device,
    ) -> None:
        self.ranges = filled_ranges(equation, config.equation, observations, config.learnable_parameters)
        own = model_equation(equation, {**config.equation, **self.ranges})
        self.config, self.model = config, model
        self.measured = Measured.of(observations, model)
        self.space = ParameterSpace(config.learnable_parameters, own.layout.grid)
        if self.space.undecided:
            raise ValueError(f"a physics-informed network needs a fixed regularisation weight: {self.space.undecided}")
        self.stepper = Stepper(own, config.execution, work=config.updates)
        fixed = own.parameter_tensors(torch.float64, device)
        self.fixed = {name: value for name, value in fixed.items() if name not in self.space.names}
        space = self.space
        # Steps of the bounds' width, even where a prior knows more: its mean may be far from the first guess.
        between = space.upper - space.lower
        width = torch.where(torch.isfinite(between), between, space.width)
        self.box = Box(space.initial, space.lower, space.upper, width).to(device)
        self.moved = torch.zeros_like(self.box.start, requires_grad=True)
        wide = (-1, *[1] * equation.layout.grid.dimensions)
        self.change_std = change_std(observations).to(device).reshape(wide)
        # Squared residuals of priors are in units of the noise, the data's loss in units of their spread.
        has_noise = observations.has_noise.to(device)
        noise = (sigma_of_mean_weight(observations).to(device) / model.std)[has_noise]
        self.prior_weight = float(noise.square().mean()) / int(self.measured.mask.sum())

    @property
    def z(self) -> Tensor:
        """The parameters' coordinates, `[p]`."""
        return self.box.start + self.box.width * self.moved

    def loss(self, batches: torch.Generator, times: torch.Generator) -> Tensor:
        """The loss at random points and times."""
        measured, count = self.measured, self.config.points_per_update
        which = torch.randperm(len(measured), generator=batches)[:count]
        loss = measured.mean_square(self.model.at(measured.inputs[which]), which)
        if self.config.residual_weight > 0:
            steps = torch.randint(self.model.steps, (self.config.times_per_update,), generator=times)
            loss = loss + self.config.residual_weight * mean_square(self._residual(steps))
        return loss + self.prior_weight * self.space.prior_residuals(self.z).square().sum()

    def _residual(self, steps: Tensor) -> Tensor:
        """(N(·, t + dt) - S_θ(N(·, t)))/s_Δ, `[T, C, *space]`, at numbers of steps t/dt `[T]`; once if static."""
        values = {**self.space.for_stepper(self.z), **self.fixed}
        if self.model.static:
            after = self.model.denormalise(self.model.states(torch.ones(1)))
            before, times = torch.zeros_like(after), torch.zeros(1, dtype=torch.float64)
        else:
            states = self.model.denormalise(self.model.states(torch.cat([steps, steps + 1])))
            before, after = states.chunk(2)
            times = self.model.dt * steps.double()
        return (after - self.stepper(before, values, times)) / self.change_std

    @torch.no_grad()
    def project(self) -> None:
        """Put the parameters back into their bounds."""
        z = torch.maximum(torch.minimum(self.z, self.box.upper), self.box.lower)
        self.moved.copy_((z - self.box.start) / self.box.width)

    @torch.no_grad()
    def estimate(self) -> PhysicalEstimate:
        """The parameters as they are; there is no honest standard deviation."""
        theta = self.z.detach().cpu()
        fields, numbers = field_estimates(self.space, theta, None), number_estimates(self.space, theta, None)
        return PhysicalEstimate(
            numbers,
            fields,
            {n: float(v) for n, v in self.space.to_values(theta).items() if n not in fields},
            outcome=Outcome("finished", f"{self.config.updates} updates"),
            weights=dict(self.space.weights),
            equation=self.config.equation,
            ranges=self.ranges,
            execution=self.stepper.execution,
            evaluations=torch.empty((0, 1 + len(numbers)), dtype=torch.float64),
        )
