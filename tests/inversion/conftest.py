"""A wave that decays: the heat equation's cheapest problem, whose solution and error bars are formulas."""

import math

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.observations import Observations
from hyco.training.physical import PhysicalConfig

CELLS, DT, STEPS, DIFFUSIVITY = 8, 0.05, 6, 0.1
# Decay of sin 2πx on the grid: λ = 4 sin²(πh)/h².
DECAY = 4 * math.sin(math.pi / CELLS) ** 2 * CELLS**2


class Wave:
    """Observations of u = exp(-D λ t) sin 2πx, and what theory says of them."""

    def __init__(self):
        self.equation = build_equation(
            {
                "name": "heat",
                "domain": {"x": {"size": 1.0, "resolution": CELLS}},
                "dt": DT,
                "order": 2,
                "max_diffusivity": 0.5,
                "substeps": 4,
                "parameters": {"diffusivity": DIFFUSIVITY},
            }
        )
        x = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS
        self.start = torch.sin(2 * math.pi * x)[None]
        self.times = DT * torch.arange(STEPS + 1, dtype=torch.float64)

    def states(self, diffusivity=DIFFUSIVITY):
        """The trajectory `[T+1, 1, x]`."""
        return torch.exp(-diffusivity * DECAY * self.times)[:, None, None] * self.start

    def slopes(self, diffusivity=DIFFUSIVITY):
        """Its derivative with respect to the diffusivity."""
        return -(DECAY * self.times)[:, None, None] * self.states(diffusivity)

    def observations(self, values, mask=None, noise_std=0.0, **changes):
        """Of one trajectory, `[T+1, 1, x]`, whose start is known unless `changes` says otherwise."""
        mask = torch.ones_like(values, dtype=torch.bool) if mask is None else mask.clone()
        given = {"initial_state": "exact", "initial_states": self.start[None]} | changes
        if given["initial_state"] == "exact":
            mask[0] = False
        return Observations(
            values=values[None],
            mask=mask[None],
            noise_std=torch.full((1,), noise_std, dtype=torch.float64),
            train=[0],
            val=[],
            layout=self.equation.layout,
            dt=DT,
            **given,
        )

    def calibrated(self, seen, **options):
        """The physical model after its search."""
        section = {
            "learnable_parameters": [{"name": "diffusivity", "initial_guess": 0.15, "bounds": [0.001, 0.5]}],
            "method": "Levenberg-Marquardt",
            "num_predict_steps": STEPS,
            "abs_tol": 1e-12,
            "execution": "traced",
            "discretisation": False,  # the truth is one of this grid
        }
        config = PhysicalConfig.model_validate(section | options)
        physics = Calibrator(self.equation, seen, config, num_predict_steps=STEPS, device=torch.device("cpu"))
        physics.update()
        physics.conclude()
        return physics

    def fitted(self, seen, **options):
        """The estimate of the diffusivity."""
        return self.calibrated(seen, **options).estimate["diffusivity"]


@pytest.fixture(scope="session")
def wave():
    return Wave()
