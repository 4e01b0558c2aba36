"""Gradients of every equation with respect to every kind of parameter: Taylor remainder, and batch against reverse."""

from functools import cache

import pytest
import torch

from hyco.equations.registry import EQUATIONS, build_equation, model_equation
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.jacobian import central_jacobian, reverse_jacobian
from hyco.inversion.objective import LeastSquaresObjective
from hyco.observations import ObservationConfig, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig

X, Y = {"size": 3.0, "resolution": 10}, {"size": 2.0, "resolution": 8}
PLANE = {"x": X, "y": Y}
LINE = {"x": {"size": 4.0, "resolution": 16}}
STEPS = 2

# Equation, and a number and a field of it that can be learnt, with a value about which to differentiate.
CASES = {
    "burgers": (
        {"domain": PLANE, "dt": 0.05, "max_speed": 6.0, "parameters": {"viscosity": 0.1}},
        ("viscosity", 0.2),
        None,
    ),
    "inviscid_burgers": (
        {"domain": LINE, "dt": 0.05, "max_speed": 6.0, "parameters": {"potential": "sin(pi*x/2)"}},
        None,
        ("potential", 0.5),
    ),
    "heat": (
        {
            "domain": PLANE,
            "boundary": "neumann",
            "dt": 0.05,
            "max_diffusivity": 1.0,
            "parameters": {"diffusivity": 0.2},
        },
        ("diffusivity", 0.3),
        ("diffusivity", 0.3),
    ),
    "advection": (
        {"domain": PLANE, "dt": 0.05, "max_speed": 2.0, "parameters": {"velocity_x": 0.8, "velocity_y": -0.5}},
        ("velocity_x", 0.7),
        ("velocity_y", -0.6),
    ),
    "advection_diffusion": (
        {
            "domain": LINE,
            "dt": 0.05,
            "max_speed": 2.0,
            "max_diffusivity": 0.6,
            "parameters": {"velocity_x": 0.8, "diffusivity": 0.1},
        },
        ("velocity_x", 0.7),
        ("diffusivity", 0.2),
    ),
    "gray_scott": (
        {
            "domain": {"x": {"size": 16.0, "resolution": 10}, "y": {"size": 12.8, "resolution": 8}},
            "dt": 4.0,
            "substeps": 8,
            "parameters": {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051},
        },
        ("diffusivity_u", 0.15),
        None,
    ),
    "navier_stokes": (
        {
            "domain": PLANE,
            "dt": 0.05,
            "max_speed": 3.0,
            "parameters": {"viscosity": 0.05, "forcing": "0.3*sin(2*pi*x/3)"},
        },
        ("viscosity", 0.08),
        ("forcing", 0.2),
    ),
    "smoke": (
        {
            "domain": PLANE,
            "boundary": "closed",
            "dt": 0.1,
            "max_speed": 2.0,
            "max_viscosity": 0.02,
            "parameters": {"buoyancy": 0.5, "inflow_rate": 0.5, "viscosity": 0.01, "diffusivity": 0.01},
        },
        ("buoyancy", 0.8),
        None,
    ),
    "elliptic": (
        {"domain": PLANE, "boundary": 0.0, "parameters": {"diffusivity": 1.0, "reaction": 0.5, "source": "sin(x)+y"}},
        ("reaction", 0.7),
        ("diffusivity", 1.3),
    ),
    "darcy": (
        {"domain": PLANE, "boundary": 0.0, "parameters": {"permeability": 1.0}},
        ("permeability", 1.2),
        ("permeability", 1.2),
    ),
}


def kinds(name, value, dimensions, *, field):
    """A learnable parameter of every kind that fits."""
    base = {"name": name}
    number = {"initial_guess": value}
    if not field:
        return {
            "scalar": base | number | {"bounds": sorted([0.5 * value, 1.8 * value])},
            "product": base
            | {
                "kind": "expression",
                "expression": "a * b",
                "scalars": [{"name": "a", **number}, {"name": "b", "initial_guess": 1.0}],
            },
        }
    center = [1.2, 0.9][:dimensions]
    return {
        "expression": base
        | {
            "kind": "expression",
            "expression": "a + b * sin(x)",
            "scalars": [{"name": "a", **number}, {"name": "b", "initial_guess": 0.1 * value}],
        },
        "fourier": base | {"kind": "fourier", "modes": 1, "offset": value, "prior_std": 0.1 * abs(value)},
        "gaussians": base
        | {"kind": "gaussians", "offset": 0.8 * value, "terms": [{"amplitude": 0.3 * value, "center": center}]},
        "field": base | {"kind": "field", **number, "scale": 0.1 * abs(value), "regularisation": {"weight": 1.0}},
    }


def pairs():
    """Every equation with every kind of parameter that it has."""
    found = []
    for equation, (section, number, field) in CASES.items():
        for entry, is_field in ((number, False), (field, True)):
            if entry is not None:
                names = kinds(*entry, len(section["domain"]), field=is_field)
                found += [(equation, entry, is_field, kind) for kind in names]
    return found


@cache
def data(equation):
    """The equation and noisy observations of two simulations."""
    built = build_equation({"name": equation} | CASES[equation][0])
    steps = 1 if equation in ("elliptic", "darcy") else STEPS
    trajectories = generate(built, GenerationConfig(simulations=1, steps=steps, length_scale=0.8), 0)
    config = ObservationConfig.model_validate(
        {"train_sim": [0], "noise": 0.05, "time": {"mode": "custom", "indices": [0, steps]}}
    )
    return built, observe(trajectories, config, 0), steps


def problem(equation, entry, is_field, kind):
    built, observations, steps = data(equation)
    parameter = kinds(*entry, built.layout.grid.dimensions, field=is_field)[kind]
    config = PhysicalConfig.model_validate({"learnable_parameters": [parameter]})
    built = model_equation(built, built.config.for_fields([p.name for p in config.learnable_parameters if p.is_field]))
    return InverseProblem(built, observations, config, steps=steps, device=torch.device("cpu"))


IDS = [f"{equation}-{kind}" for equation, _, _, kind in pairs()]


def test_every_equation_is_here():
    # Formulas have gradients of their own: tests/equations/formula.
    assert sorted([*CASES, "formula"]) == sorted(EQUATIONS.built_in)


@pytest.mark.slow
@pytest.mark.parametrize("pair", pairs(), ids=IDS)
def test_the_gradient_passes_the_taylor_test(pair):
    p = problem(*pair)
    direction = torch.rand(len(p.box.start), generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.3
    direction = direction / direction.abs().max()
    z = p.box.start.clone().requires_grad_(True)
    value = p.objective(z[None]).square().sum()
    (gradient,) = torch.autograd.grad(value, z)
    remainders = []
    with torch.no_grad():
        for h in (0.02, 0.01, 0.005):
            moved = p.objective((p.box.start + h * direction)[None]).square().sum()
            remainders.append(abs(float(moved - value - h * gradient @ direction)))
    slopes = torch.tensor(remainders, dtype=torch.float64).log2().diff().neg()
    assert 1.95 < float(slopes[-1]) < 2.05, slopes


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair", [p for p in pairs() if p[3] != "field"], ids=[i for i in IDS if not i.endswith("field")]
)
def test_the_batched_jacobian_is_that_of_reverse_mode_to_a_millionth(pair):
    p = problem(*pair)
    z = p.box.start.clone()
    _, batched = central_jacobian(lambda points: p.real(points), z, p.box.lower, p.box.upper)
    rows = torch.arange(0, batched.shape[0], max(1, batched.shape[0] // 25))
    exact = reverse_jacobian(lambda point: p.real(point[None])[0, rows], z)
    assert float((batched[rows] - exact).abs().max()) < 1e-6 * float(batched.abs().max())


def test_the_gradient_of_few_unknowns_by_copies_is_that_of_the_tape(monkeypatch):
    inverse = problem("burgers", CASES["burgers"][1], False, "product")
    objective = LeastSquaresObjective(inverse, STEPS)
    z = inverse.box.start[None].repeat(2, 1) + torch.tensor([[0.1, -0.2], [0.3, 0.1]], dtype=torch.float64)
    loss, gradient = objective.values_and_gradients(z)
    monkeypatch.setattr("hyco.inversion.objective._FEW_UNKNOWNS", 0)
    expected, slope = objective.values_and_gradients(z)
    assert torch.allclose(loss, expected, rtol=1e-12)
    assert torch.allclose(gradient, slope, rtol=2e-5)
