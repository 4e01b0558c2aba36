"""The steps of hyco's equations as one writes them in PyTorch for one equation at a time, to measure hyco against.

They give the same numbers but for rounding; the tests hold that. Each is for a periodic domain with cells of the same
width along every axis, and for parameters that are numbers, but for the potential of inviscid Burgers. The static
problems are for the value 0 on all walls, and for coefficients that may vary in space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import pi
from typing import Any

import torch
from torch import Tensor
from torch.fft import fftfreq, irfft2, rfft2, rfftfreq
from torch.nn.functional import pad

from hyco.expressions import Expression
from hyco.schemes.linear_solve import solve_on_grid
from hyco.stepping.bound_step import BoundStep


@dataclass(frozen=True)
class HandWritten:
    """A step in plain PyTorch, in the place of a `Stepper`.

    Attributes:
        prepare: what does not depend on the state, from the parameters' values: once per rollout.
        step: one sub-step, from the state and that to the next state.
        substeps: steps from one state to the next.
    """

    prepare: Callable[..., tuple[Tensor, ...]]
    step: Callable[..., Tensor]
    substeps: int = 1

    def bind(self, start: Tensor, values: Mapping[str, Tensor]) -> BoundStep:
        """The step with these parameters."""
        return BoundStep(self.step, self.prepare(**values), self.substeps)

    def compiled(self) -> HandWritten:
        """The same through `torch.compile`."""
        return replace(self, step=torch.compile(self.step, dynamic=False))


def gray_scott(equation: Any) -> HandWritten:
    """Gray-Scott on a square."""
    tau, weight = equation.dt / equation.substeps, 1 / equation.layout.grid.spacing[0] ** 2

    def prepare(diffusivity_u: Tensor, diffusivity_v: Tensor, feed: Tensor, kill: Tensor) -> tuple[Tensor, ...]:
        sides = torch.stack([diffusivity_u, diffusivity_v]).reshape(2, 1, 1) * (tau * weight)
        kept = 1 - 4 * sides - tau * torch.stack([feed, feed + kill]).reshape(2, 1, 1)
        fed = tau * torch.stack([feed, torch.zeros_like(feed)]).reshape(2, 1, 1)
        largest = 2 / tau - (8 * weight * diffusivity_u + feed)
        signs = torch.tensor([-tau, tau], dtype=feed.dtype, device=feed.device).reshape(2, 1, 1)
        return sides, kept, fed, largest, signs

    def step(state: Tensor, sides: Tensor, kept: Tensor, fed: Tensor, largest: Tensor, signs: Tensor) -> Tensor:
        u, v = state[:, :1], state[:, 1:]
        linear = torch.addcmul(torch.addcmul(fed, state, kept), _around(state), sides)
        return torch.addcmul(linear, u * torch.minimum(v * v, largest), signs)

    return HandWritten(prepare, step, equation.substeps)


def central_burgers(equation: Any) -> HandWritten:
    """`CentralBurgers` of the baselines."""
    h = equation.layout.grid.spacing[0]
    convection = -equation.dt / (2 * h)

    def prepare(viscosity: Tensor) -> tuple[Tensor, ...]:
        sides = viscosity * (equation.dt / h**2)
        return sides, 1 - 4 * sides

    def step(state: Tensor, sides: Tensor, kept: Tensor) -> Tensor:
        below, above = state.roll(1, -2), state.roll(-1, -2)
        left, right = state.roll(1, -1), state.roll(-1, -1)
        around = (below + above) + (left + right)
        new = torch.addcmul(state * kept, around, sides)
        new = torch.addcmul(new, state[:, :1], above - below, value=convection)
        return torch.addcmul(new, state[:, 1:], right - left, value=convection)

    return HandWritten(prepare, step, equation.substeps)


def burgers(equation: Any) -> HandWritten:
    """Burgers on a square by the scheme `upwind`."""
    grid, count = equation.layout.grid, equation.convection_steps
    h, spacing = equation.dt / count, grid.spacing[0]
    squared = _wavenumbers(grid)[2]

    def prepare(viscosity: Tensor, convection: Tensor) -> tuple[Tensor, ...]:
        outer = torch.exp(squared * (viscosity * (-h / 2)))
        return outer, outer * outer, convection * (-5 * h / (6 * spacing))

    def diffuse(u: Tensor, factor: Tensor) -> Tensor:
        return irfft2(rfft2(u) * factor, s=u.shape[-2:])

    def euler(u: Tensor, scale: Tensor) -> Tensor:
        speeds = u * scale
        forward, backward = speeds.clamp(max=0), speeds.clamp(min=0)
        new = u
        for i, dim in enumerate((-2, -1)):
            # Differences at the faces: each of the two third-order upwind differences takes three of them.
            here = u - u.roll(1, dim)
            before, after, beyond = here.roll(1, dim), here.roll(-1, dim), here.roll(-2, dim)
            left = here.add(after, alpha=0.4).sub(before, alpha=0.2)
            right = after.add(here, alpha=0.4).sub(beyond, alpha=0.2)
            new = torch.addcmul(new, forward[:, i : i + 1], left)
            new = torch.addcmul(new, backward[:, i : i + 1], right)
        return new

    def step(state: Tensor, outer: Tensor, inner: Tensor, scale: Tensor) -> Tensor:
        u = diffuse(state, outer)
        for i in range(count):
            second = torch.lerp(u, euler(euler(u, scale), scale), 0.25)
            u = torch.lerp(u, euler(second, scale), 2 / 3)
            u = diffuse(u, outer if i == count - 1 else inner)
        return u

    return HandWritten(prepare, step, equation.substeps)


def heat(equation: Any) -> HandWritten:
    """Heat on a square, with the Runge-Kutta-Legendre method.

    Where the rate is linear, its stages are the Legendre polynomials P of 1 + w Δt L applied to the state, and the
    step is (1 - b) u + b P u.
    """
    stages, h = equation.stages, equation.layout.grid.spacing[0]
    reach = stages * stages + stages - 2
    b = reach / (2 * stages * (stages + 1))

    def prepare(diffusivity: Tensor) -> tuple[Tensor, ...]:
        sides = diffusivity * (4 * equation.dt / (equation.substeps * reach * h**2))
        kept, growth = 1 - 4 * sides, [(2 * j - 1) / j for j in range(1, stages + 1)]
        return (*(g * kept for g in growth), *(g * sides for g in growth))

    def step(state: Tensor, *factors: Tensor) -> Tensor:
        older, current = state, state
        for j, kept, sides in zip(range(1, stages + 1), factors[:stages], factors[stages:], strict=True):
            new = torch.addcmul(current * kept, _around(current), sides)
            older, current = current, new if j == 1 else new.sub(older, alpha=(j - 1) / j)
        return torch.lerp(state, current, b)

    return HandWritten(prepare, step, equation.substeps)


def advection_diffusion(equation: Any) -> HandWritten:
    """Advection, with or without diffusion, on a square with a constant velocity."""
    tau, h = equation.dt / equation.substeps, equation.layout.grid.spacing[0]
    scale = -tau / (12 * h)

    def prepare(velocity_x: Tensor, velocity_y: Tensor, diffusivity: Tensor | float = 0.0) -> tuple[Tensor, ...]:
        weights, spread = [], diffusivity * (tau / h**2)
        for velocity in (velocity_x, velocity_y):
            v, speed = velocity * scale, velocity.abs() * scale
            weights += [v + speed, spread - 8 * v - 4 * speed, spread + 8 * v - 4 * speed, speed - v]
        return 1 + 6 * scale * (velocity_x.abs() + velocity_y.abs()) - 4 * spread, *weights

    def euler(u: Tensor, kept: Tensor, *weights: Tensor) -> Tensor:
        new = u * kept
        shifts = [(shift, dim) for dim in (-2, -1) for shift in (2, 1, -1, -2)]
        for (shift, dim), weight in zip(shifts, weights, strict=True):
            new = torch.addcmul(new, u.roll(shift, dim), weight)
        return new

    return HandWritten(prepare, _three_stages(euler), equation.substeps)


def navier_stokes(equation: Any) -> HandWritten:
    """Navier-Stokes without a mean flow."""
    grid, limit = equation.layout.grid, equation.config.max_speed
    h = equation.dt / equation.substeps
    kx, ky, squared = _wavenumbers(grid)
    moving = (squared > 0).double()
    kept = (torch.maximum(kx.abs(), ky.abs()) < 2 / 3 * pi / grid.spacing[0] * (1 - 1e-9)).double()
    inverse = kept * moving / (squared + 1 - moving)
    factors = 1j * torch.stack([inverse * ky, -inverse * kx, kept * kx, kept * ky])
    taken = (-kept).to(factors.dtype)

    def prepare(viscosity: Tensor, drag: Tensor, forcing: Tensor) -> tuple[Tensor, ...]:
        # Complex, as a product with complex modes makes a complex copy of a real factor each time.
        half = torch.exp((squared * viscosity + drag) * (-h / 2)).to(factors.dtype)
        return half, half * half, rfft2(forcing.expand(1, *grid.resolution)) * moving

    def rate(modes: Tensor, force: Tensor) -> Tensor:
        u, v, along_x, along_y = irfft2(modes * factors, s=grid.resolution).unbind(1)
        carried = torch.addcmul(u.clamp(-limit, limit) * along_x, v.clamp(-limit, limit), along_y)
        return torch.addcmul(force, rfft2(carried[:, None]), taken)

    def step(state: Tensor, half: Tensor, whole: Tensor, force: Tensor) -> Tensor:
        start = rfft2(state)
        first = rate(start, force) * half
        carried, moved = start * half, start * whole
        second = rate(carried.add(first, alpha=h / 2), force)
        third = rate(carried.add(second, alpha=h / 2), force)
        fourth = rate(torch.addcmul(moved, third, half, value=h), force)
        change = torch.addcmul(torch.addcmul(fourth, first, half), second + third, half, value=2)
        return irfft2(moved.add(change, alpha=h / 6), s=grid.resolution)

    return HandWritten(prepare, step, equation.substeps)


def inviscid_burgers(equation: Any) -> HandWritten:
    """Inviscid Burgers with a potential."""
    limit, h = equation.config.max_speed, equation.layout.grid.spacing[0]
    tau = equation.dt / equation.substeps
    negligible = limit**2 * (6 / equation.layout.grid.resolution[0]) ** 3

    def prepare(potential: Tensor) -> tuple[Tensor, ...]:
        push = (potential.roll(1, -1) - potential.roll(-1, -1)) * (tau / (2 * h))
        small = torch.tensor(negligible, dtype=potential.dtype, device=potential.device)
        return push[:, None], small

    def euler(u: Tensor, push: Tensor, small: Tensor) -> Tensor:
        before = u - u.roll(1, -1)
        after = before.roll(-1, -1)
        squares = torch.addcmul(torch.addcmul(4 * small, before, before, value=2), after, after, value=2)
        half = torch.addcmul(small, before, after) * (before + after) / squares
        # What leaves each cell to the right, and (less than zero times a speed) to the left.
        upper, lower = u + half, u - half
        forward, backward = upper.clamp(0, limit), lower.clamp(-limit, 0)
        flux = forward * upper.sub(forward, alpha=0.5) + (backward * lower.sub(backward, alpha=0.5)).roll(-1, -1)
        return (u + push).add(flux.roll(1, -1) - flux, alpha=tau / h)

    return HandWritten(prepare, _three_stages(euler), equation.substeps)


def smoke(equation: Any) -> HandWritten:
    """Smoke in a periodic square."""
    grid, limit = equation.layout.grid, equation.config.max_speed
    tau, h = equation.dt / equation.substeps, grid.spacing[0]
    inflow = Expression(equation.config.inflow).on_grid(grid)
    x, y = fftfreq(grid.resolution[0], dtype=torch.float64), rfftfreq(grid.resolution[1], dtype=torch.float64)
    eigenvalues = 2 * torch.cos(2 * pi * x)[:, None] + 2 * torch.cos(2 * pi * y) - 4
    eigenvalues[0, 0] = torch.inf  # the mean of the pressure has no effect
    inverse = (1 / eigenvalues).to(torch.complex128)

    def prepare(buoyancy: Tensor, inflow_rate: Tensor, viscosity: Tensor, diffusivity: Tensor) -> tuple[Tensor, ...]:
        spread = viscosity * (tau / h**2)
        return buoyancy * (tau / 2), inflow * (inflow_rate * tau), spread, diffusivity * (-tau / h**2)

    def carried(velocity: Tensor, spread: Tensor) -> Tensor:
        u, v = velocity[:, :1], velocity[:, 1:]
        # Each component at the faces of the other one.
        u_there, v_there = u + u.roll(-1, -2), v + v.roll(-1, -1)
        u_there, v_there = (u_there + u_there.roll(1, -1)) / 4, (v_there + v_there.roll(1, -2)) / 4
        new = velocity
        for dim, along in ((-2, torch.cat([u, u_there], 1)), (-1, torch.cat([v_there, v], 1))):
            speed = along.clamp(-limit, limit)
            left2, left, right, right2 = (velocity.roll(shift, dim) for shift in (2, 1, -1, -2))
            near = left + right
            derivative = (right - left).sub(right2 - left2, alpha=0.125)
            dissipation = (left2 + right2).sub(near, alpha=4).add(velocity, alpha=6)
            new = torch.addcmul(new, speed, derivative, value=-8 * tau / (12 * h))
            new = torch.addcmul(new, speed.abs(), dissipation, value=-tau / (12 * h))
            new = torch.addcmul(new, near.sub(velocity, alpha=2), spread)
        return new

    def transported(s: Tensor, velocity: Tensor, entered: Tensor, conductance: Tensor) -> Tensor:
        new = s + entered
        for i, dim in enumerate((-2, -1)):
            normal = velocity[:, i : i + 1].clamp(-limit, limit)
            left2, left, right2 = s.roll(2, dim), s.roll(1, dim), s.roll(-1, dim)
            difference = s - left
            middle = (left + s).mul(7).sub(left2 + right2)
            bias = (right2 - left2).sub(difference, alpha=3)
            flux = torch.addcmul(normal * middle, normal.abs(), bias) * (tau / (12 * h))
            flux = torch.addcmul(flux, difference, conductance)
            new = new + (flux - flux.roll(-1, dim))
        return new

    def euler(state: Tensor, lift: Tensor, entered: Tensor, spread: Tensor, conductance: Tensor) -> Tensor:
        s, velocity = state[:, :1], state[:, 1:]
        new = carried(velocity, spread)
        v = torch.addcmul(new[:, 1:], s + s.roll(1, -1), lift)
        return torch.cat([transported(s, velocity, entered, conductance), new[:, :1], v], 1)

    def project(state: Tensor) -> Tensor:
        s, u, v = state.split(1, dim=1)
        divergence = (u.roll(-1, -2) - u) + (v.roll(-1, -1) - v)
        pressure = irfft2(rfft2(divergence) * inverse, s=grid.resolution)
        return torch.cat([s, u - (pressure - pressure.roll(1, -2)), v - (pressure - pressure.roll(1, -1))], 1)

    def step(state: Tensor, *inputs: Tensor) -> Tensor:
        # States have room for one face more along each axis, which is empty where that is periodic.
        start = state[:, :, :-1, :-1]
        first = project(euler(start, *inputs))
        second = project(torch.lerp(start, euler(first, *inputs), 0.25))
        return pad(project(torch.lerp(start, euler(second, *inputs), 2 / 3)), (0, 1, 0, 1))

    return HandWritten(prepare, step, equation.substeps)


def static(equation: Any) -> HandWritten:
    """Diffusion and reaction in equilibrium, or flow through a porous medium."""
    weight = 1 / equation.layout.grid.spacing[0] ** 2

    def prepare(**values: Tensor) -> tuple[Tensor, ...]:
        shape = equation.layout.shape
        diffusivity = values.get("diffusivity", values.get("permeability"))
        assert diffusivity is not None
        k = diffusivity.expand(1, *shape)
        diagonal, couplings = values.get("reaction", torch.zeros_like(k)).expand(1, *shape), []
        for axis in range(1, k.ndim):
            one, other = k.narrow(axis, 0, k.shape[axis] - 1), k.narrow(axis, 1, k.shape[axis] - 1)
            first, last = k.narrow(axis, 0, 1), k.narrow(axis, k.shape[axis] - 1, 1)
            upper = torch.cat([2 * one * other / (one + other), 2 * last], axis) * weight
            lower = torch.cat([2 * weight * first, upper.narrow(axis, 0, k.shape[axis] - 1)], axis)
            diagonal = diagonal + lower + upper
            couplings.append(-upper)
        right = values["source"].expand(1, *shape)
        return (solve_on_grid(diagonal, torch.stack(couplings, 1), right, [False] * len(shape))[:, None],)

    def step(state: Tensor, solution: Tensor) -> Tensor:
        return solution.expand(state.shape)

    return HandWritten(prepare, step)


HAND_WRITTEN: dict[str, Callable[[Any], HandWritten]] = {
    "gray_scott": gray_scott,
    "central_burgers": central_burgers,
    "burgers": burgers,
    "heat": heat,
    "advection": advection_diffusion,
    "advection_diffusion": advection_diffusion,
    "navier_stokes": navier_stokes,
    "inviscid_burgers": inviscid_burgers,
    "smoke": smoke,
    "darcy": static,
    "elliptic": static,
}


def _three_stages(euler: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The third-order Runge-Kutta method that preserves strong stability, from its explicit Euler steps."""

    def step(state: Tensor, *inputs: Tensor) -> Tensor:
        second = torch.lerp(state, euler(euler(state, *inputs), *inputs), 0.25)
        return torch.lerp(state, euler(second, *inputs), 2 / 3)

    return step


def _around(values: Tensor) -> Tensor:
    """The sum over the four neighbours of each cell."""
    return (values.roll(1, -2) + values.roll(-1, -2)) + (values.roll(1, -1) + values.roll(-1, -1))


def _wavenumbers(grid: Any) -> tuple[Tensor, Tensor, Tensor]:
    """k_x, k_y and k_x² + k_y² on the modes of `rfft2`."""
    (nx, ny), h = grid.resolution, grid.spacing[0]
    x, y = 2 * pi * fftfreq(nx, h, dtype=torch.float64), 2 * pi * rfftfreq(ny, h, dtype=torch.float64)
    kx, ky = torch.meshgrid(x, y, indexing="ij")
    return kx, ky, kx**2 + ky**2
