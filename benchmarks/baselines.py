"""PhiFlow's own finite differences and a bare training loop, to measure hyco against; the tests hold that they give its
numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from phi import math
from phi.flow import advect, diffuse
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.fields import FieldSpec, Layout, to_fields, to_tensor
from hyco.grid import Grid
from hyco.schemes.stencils import neighbours
from hyco.training.data import Samples
from hyco.training.trainer import SyntheticTrainer

Step = Callable[[Tensor], Tensor]


class CentralBurgers(Equation):
    """∂u/∂t + (u·∇)u = ν Δu by central differences and Euler steps on a periodic square: the scheme of PhiFlow's own
    `advect.finite_difference` and `diffuse.finite_difference` of second order. Stable for small steps only."""

    def __init__(self, cells: int, dt: float = 1e-3, viscosity: float = 0.05) -> None:
        grid = Grid(axes=("x", "y"), lower=(0.0, 0.0), size=(2.0, 2.0), resolution=(cells, cells))
        self.layout = Layout(grid, (FieldSpec("velocity", components=("x", "y"), boundary="periodic"),))
        self.dt, self.parameters, self._h = dt, {"viscosity": viscosity}, 2.0 / cells

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One Euler step."""
        u = fields["velocity"].values
        rate: Any = 0.0
        for axis in ("x", "y"):
            left, _, right = neighbours(u, axis, "periodic", self._h)
            second = (left + right - 2 * u) * (parameters["viscosity"] / self._h**2)
            rate = rate + second - u[{"vector": axis}] * (right - left) / (2 * self._h)
        return {"velocity": fields["velocity"].with_values(u + self.dt * rate)}


def phiflow_end(equation: CentralBurgers, viscosity: Tensor, steps: int, *, jit: bool) -> Step:
    """The last state of a rollout with PhiFlow's own finite differences, from a tensor to a tensor.

    In between there are Fields.

    Args:
        jit: through PhiFlow's just-in-time compilation, not eager.
    """

    def step(velocity: Any, nu: Any) -> Any:
        rate = advect.finite_difference(velocity, velocity, order=2) + diffuse.finite_difference(velocity, nu, order=2)
        return velocity + equation.dt * rate

    run = math.jit_compile(step) if jit else step

    def end(state: Tensor) -> Tensor:
        with math.precision(8 * state.element_size()):
            velocity, nu = to_fields(state, equation.layout)["velocity"], math.wrap(viscosity)
            for _ in range(steps):
                velocity = run(velocity, nu)
            return to_tensor({"velocity": velocity}, equation.layout)

    return end


def bare_epoch(trainer: SyntheticTrainer, samples: Samples) -> float:
    """One epoch of a plain loop on the trainer's own windows and batches: no options, no bookkeeping.

    For data without padding, of which everything is observed.
    """
    model, windows, optimizer = trainer.model, trainer.windows, trainer.optimisation.optimizer
    scale, losses = (model.change_std / model.std).float(), []
    for which, _ in trainer.batches.updates(None, windows.length):
        state, predicted = samples.starts[which], []
        for _ in range(windows.length):
            state = state + scale * model.network(state)
            predicted.append(state)
        loss = (torch.stack(predicted, dim=1) - windows.targets(trainer.data.values, which)).square().mean()
        optimizer.clear_gradients()
        loss.backward()
        if trainer.config.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), trainer.config.gradient_clip)
        optimizer.step(trainer.config.learning_rate)
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())
