"""An equation with a source that changes with the time, and its exact solution on the grid."""

from typing import ClassVar

import numpy as np
import torch
from phi import math
from phi.math import spatial
from pydantic import BaseModel, Field, PositiveInt

from hyco.equations.equation import Equation, EquationConfig
from hyco.fields import FieldSpec, Layout
from hyco.schemes.transport import diffusion

SECTION = {
    "name": "heated_rod:HeatedRod",
    "domain": {"x": {"size": 4.0, "resolution": 16}},
    "dt": 0.1,
    "parameters": {"diffusivity": 0.1, "strength": 1.0},
}
# The diffusivity that the source is made for.
DIFFUSIVITY = 0.1


class RodParameters(BaseModel, extra="forbid", frozen=True):
    """The coefficients."""

    diffusivity: float = Field(description="[length²/time]")
    strength: float = Field(description="of the source [1]")


class RodConfig(EquationConfig):
    """The keys."""

    parameters: RodParameters
    substeps: PositiveInt = Field(default=1, description="steps from one state to the next")


class HeatedRod(Equation):
    """u_t = D u_xx + a s(x, t) on a periodic axis, by the midpoint rule: second order in time.

    The source is such that `solution` solves the equation, discretised in space, with D = 0.1 and a = 1.
    """

    config_class = RodConfig
    autonomous: ClassVar[bool] = False

    def __init__(self, config):
        self.config, self.dt, self.parameters = config, config.dt, config.true_parameters
        self.substeps = config.substeps
        self.layout = Layout(config.grid, (FieldSpec("u", boundary="periodic"),))
        ((size, n),) = ((axis.size, axis.resolution) for axis in config.domain.values())
        angle = 2 * np.pi * (np.arange(n) + 0.5) / n
        self.waves = np.stack([np.sin(angle), np.cos(2 * angle)])
        # Eigenvalues of the second difference.
        self.decay = DIFFUSIVITY * (2 - 2 * np.cos(2 * np.pi * np.array([1, 2]) / n)) * (n / size) ** 2

    def step(self, fields, parameters, time):
        h, u = self.dt / self.substeps, fields["u"]
        half = u.values + h / 2 * self._rate(u.values, parameters, time)
        return {"u": u.with_values(u.values + h * self._rate(half, parameters, time + h / 2))}

    def _rate(self, values, parameters, time):
        (spacing,) = self.config.grid.spacing
        spread = diffusion(parameters["diffusivity"], "periodic", {"x": spacing})(values)
        first, second = (math.to_float(math.wrap(wave, spatial("x"))) for wave in self.waves)
        source = (self.decay[0] - 1) * math.exp(-time) * first
        source += (1.5 * math.cos(3 * time) + 0.5 * self.decay[1] * math.sin(3 * time)) * second
        return spread + parameters["strength"] * source

    def solution(self, times):
        """The exact states at times `[T]`, `[T, 1, 16]`."""
        first, second = torch.from_numpy(self.waves)
        times = torch.as_tensor(times, dtype=torch.float64)[:, None, None]
        return torch.exp(-times) * first + 0.5 * torch.sin(3 * times) * second
