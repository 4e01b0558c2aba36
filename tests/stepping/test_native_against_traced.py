"""Every equation of the package and formulas of all kinds: hyco's own code gives what the traced step does, or is left.

Nothing else holds the code against the step: what it was written from is also what it could have misread.
"""

import shutil

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.stepping.compiled import Compiled
from hyco.stepping.native.library import Native, Preparation
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
F64 = torch.float64


def domain(*resolution):
    return {axis: {"size": 4.0, "resolution": n} for axis, n in zip("xyz", resolution, strict=False)}


def formula(rate, *resolution, boundary="periodic", **parameters):
    return {
        "name": "formula",
        "domain": domain(*resolution or (9,)),
        "dt": 0.02,
        "substeps": 2,
        "fields": {"u": {"boundary": boundary}},
        "rates": {"u": rate},
        "parameters": parameters or {"D": 0.1},
    }


def built_in(name, *resolution, **more):
    return {"name": name, "domain": domain(*resolution), "dt": 0.05, **more}


# Whether the step, its gradient and what it takes from the parameters are hyco's own code.
ALL, STEP, NONE = (True, True, True), (True, True, False), (False, False, False)
CASES = {
    "advection": (built_in("advection", 9, 8, parameters={"velocity_x": 0.7, "velocity_y": -0.3}), ALL),
    "advection-diffusion, spectral": (
        built_in("advection_diffusion", 9, parameters={"velocity_x": 0.7, "diffusivity": 0.1}),
        STEP,
    ),
    "advection-diffusion, spectral, 2-D": (
        built_in("advection_diffusion", 9, 7, parameters={"velocity_x": 0.7, "velocity_y": -0.3, "diffusivity": 0.1}),
        STEP,
    ),
    "advection-diffusion, finite differences": (
        built_in("advection_diffusion", 9, order=2, parameters={"velocity_x": 0.7, "diffusivity": 0.1}),
        ALL,
    ),
    "burgers, 3-D": (
        built_in("burgers", 5, 6, 7, scheme="spectral", max_speed=3.0, parameters={"viscosity": 0.3}),
        ALL,
    ),
    "burgers, upwind": (built_in("burgers", 9, scheme="upwind", max_speed=3.0, parameters={"viscosity": 0.2}), ALL),
    "gray-scott": (
        built_in(
            "gray_scott",
            9,
            8,
            parameters={"diffusivity_u": 0.1, "diffusivity_v": 0.05, "feed": 0.04, "kill": 0.06},
        ),
        ALL,
    ),
    "heat": (built_in("heat", 9, parameters={"diffusivity": 0.2}), ALL),
    "heat, 3-D": (built_in("heat", 5, 6, 7, parameters={"diffusivity": 0.2}), ALL),
    "inviscid burgers": (built_in("inviscid_burgers", 13, max_speed=3.0), STEP),
    "navier-stokes": (built_in("navier_stokes", 9, 8, max_speed=3.0, parameters={"viscosity": 0.1}), ALL),
    "smoke": (built_in("smoke", 9, 7, max_speed=3.0, parameters={"buoyancy": 0.3}), NONE),
    "formula with drift": (formula("D*laplace(u) - c*dx(u)", D=0.1, c=0.8), STEP),
    "formula with drift, even": (formula("D*laplace(u) - c*dx(u) - u*u*u", 12, D=0.1, c=0.8), STEP),
    "Korteweg-de Vries": (formula("-u*dx(u) - d*dx(dx(dx(u)))", 13, d=0.01), STEP),
    "formula of extremes": (formula("D*laplace(u) - max(u, 0.2)*min(u, D)*abs(u) + 0.1*sign(u)"), ALL),
    "formula of tanh": (formula("D*laplace(u) + tanh(u)*sin(x) - u*abs(u)"), ALL),
    "formula of powers": (formula("D*laplace(u) + abs(u)**1.5 - u**3 + exp(-u*u)*sin(x)"), ALL),
    "formula of roots": (formula("D*laplace(u) + log(1 + u*u)*sqrt(1 + u**2)", 10), ALL),
    "formula of cosh": (formula("D*laplace(u) + 0.01*cosh(u)", 10), NONE),
    "formula in time": (formula("D*laplace(u) + sin(3*t)*u", boundary="neumann"), ALL),
    "walls in time": (formula("D*laplace(u) + 0.1*u", boundary="sin(t)*D"), ALL),
    "formula, 2-D": (formula("D*laplace(u) - u*dx(u)", 9, 7, boundary=0), ALL),
    "formula, 3-D": (formula("D*laplace(u) - u**3", 5, 6, 7), ALL),
}
FAST = {"advection-diffusion, spectral", "smoke", "formula of cosh", "formula with drift", "Korteweg-de Vries"}


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_states_and_gradients_equal_those_of_traced_steps(name):
    """Of five samples, with shared parameters and with each sample's own."""
    section, (step, gradient, preparation) = CASES[name]
    equation = build_equation(section)
    start = equation.initial_states(5, 1.5, 0.5, torch.Generator().manual_seed(2))
    shared = equation.parameter_tensors(F64)
    own = {key: v * torch.linspace(0.8, 1.2, 5, dtype=F64) if v.ndim == 0 else v for key, v in shared.items()}
    traced, compiled = Stepper(equation, "traced"), Stepper(equation, "compiled")
    for values in (shared, own):
        found = []
        for stepper in (traced, compiled):
            leaves = [v.clone().requires_grad_() for v in (start, *values.values())]
            bound = stepper.bind(start, values, 0.3)
            assert isinstance(bound.run, Native) == (step and stepper is compiled)
            if isinstance(bound.run, Compiled):
                return  # torch's own matter
            states = rollout(bound, start, 4)
            followed = rollout(
                stepper.bind(leaves[0], dict(zip(values, leaves[1:], strict=True)), 0.3), leaves[0], 4, [1, 2, 4]
            )
            weights = torch.arange(followed.numel(), dtype=F64).reshape(followed.shape).sin()
            slopes = torch.autograd.grad((followed**2 * weights).sum(), leaves, materialize_grads=True)
            found.append([states, followed.detach(), *slopes])
        for expected, got in zip(*found, strict=True):
            assert torch.allclose(got, expected, rtol=1e-10, atol=1e-11 * max(1.0, float(expected.abs().max())))
    programs = [p for (kind, _), p in compiled._programs.items() if kind == "compiled"]
    used = {
        (
            isinstance(p.step, Native),
            isinstance(p.step, Native) and p.step.has_gradient,
            isinstance(p.prepare, Preparation),
        )
        for p in programs
    }
    assert used == {(step, gradient, preparation)}
