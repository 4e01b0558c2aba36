"""Darcy flow: an elliptic equation without reaction, with permeability as the unknown."""

import math
import runpy
from pathlib import Path

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.stepping.stepper import Stepper

SERIES = " + ".join(
    f"{c} * sin({m} * pi * x / 4) * sin({p} * pi * y / 4)" for m, p, c in [(1, 1, 0.8), (1, 2, 0.5), (2, 1, -0.8)]
)
PERMEABILITY = f"0.2 + softplus({SERIES})"


def darcy(n, nodes="cell", permeability=PERMEABILITY, **keys):
    domain = {
        "x": {"size": 6.0, "lower": -3.0, "resolution": n},
        "y": {"size": 5.0, "lower": -2.0, "resolution": n + 4},
    }
    parameters = {"permeability": permeability} | keys.pop("parameters", {})
    return build_equation({"name": "darcy", "domain": domain, "nodes": nodes, "parameters": parameters} | keys)


def solve(equation, parameters=None, execution="plain"):
    values = equation.parameter_tensors(torch.float64) | (parameters or {})
    zero = torch.zeros(1, 1, *equation.layout.grid.resolution, dtype=torch.float64)
    return Stepper(equation, execution)(zero, values)[0, 0]


@pytest.mark.parametrize("average", ["harmonic", "arithmetic"])
@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_the_pressure_converges_with_second_order(nodes, average):
    # Each grid's cells or nodes are among those of the next finer one: factors of 3 and of 2.
    if nodes == "cell":
        factor, solutions = 3, [solve(_square(n, nodes, average)) for n in (14, 42, 126)]
        picked = [solutions[0], solutions[1][1::3, 1::3], solutions[2][4::9, 4::9]]
    else:
        factor, solutions = 2, [solve(_square(n, nodes, average)) for n in (21, 41, 81)]
        picked = [solutions[0], solutions[1][::2, ::2], solutions[2][::4, ::4]]
    ratio = float((picked[0] - picked[1]).abs().max() / (picked[1] - picked[2]).abs().max())
    assert math.log(ratio, factor) == pytest.approx(2, abs=0.1)


def _square(n, nodes, average):
    axes = {"x": {"size": 6.0, "lower": -3.0, "resolution": n}, "y": {"size": 5.0, "lower": -2.0, "resolution": n}}
    keys = {"nodes": nodes, "face_average": average, "parameters": {"permeability": PERMEABILITY}}
    return build_equation({"name": "darcy", "domain": axes} | keys)


def test_a_constant_permeability_divides_the_pressure():
    one, other = solve(darcy(12, permeability=1.0)), solve(darcy(12, permeability=2.5))
    assert torch.allclose(one, 2.5 * other, rtol=1e-13, atol=0)


def test_between_parallel_walls_the_pressure_is_a_parabola():
    equation = darcy(12, "cell", 2.0, boundary={"x": 0.0, "y": "neumann"}, parameters={"source": 3.0})
    x = torch.from_numpy(equation.layout.grid.centers("x"))
    h = 0.5
    # Half a cell of the wall is a two-point flux: it adds h²/8 · f/κ everywhere to the exact parabola.
    expected = 3.0 / (2 * 2.0) * (9 - x**2) + h**2 / 8 * 3.0 / 2.0
    assert torch.allclose(solve(equation), expected[:, None].expand(12, 16), rtol=1e-13, atol=0)


def test_what_is_injected_leaves_through_the_walls():
    equation = darcy(12)
    pressure, k = solve(equation), equation.parameters["permeability"]
    hx, hy = equation.layout.grid.spacing
    out = sum((2 * k[i] * pressure[i]).sum() * hy / hx for i in (0, -1))
    out = out + sum((2 * k[:, i] * pressure[:, i]).sum() * hx / hy for i in (0, -1))
    assert float(out) == pytest.approx(6.0 * 5.0, rel=1e-12)


@pytest.mark.parametrize("name", ["permeability", "source"])
@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_the_gradient_passes_the_taylor_test(name, nodes):
    equation = darcy(10, nodes, parameters={"source": "1 + x*y/9"})
    stepper = Stepper(equation)
    parameters = equation.parameter_tensors(torch.float64)
    zero = torch.zeros(1, 1, 10, 14, dtype=torch.float64)

    def loss(values):
        return (stepper(zero, parameters | {name: values}) ** 3).sum()

    point = parameters[name].clone().requires_grad_()
    generator = torch.Generator().manual_seed(5)
    direction = torch.rand(point.shape, generator=generator, dtype=torch.float64) - 0.2
    value = loss(point)
    slope = (torch.autograd.grad(value, point)[0] * direction).sum()
    steps = (4e-4, 2e-4, 1e-4)
    remainders = [abs(float((loss(point.detach() + h * direction) - value - h * slope).detach())) for h in steps]
    orders = torch.tensor(remainders).log2().diff().neg()
    assert ((orders > 1.95) & (orders < 2.05)).all()


@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_the_traced_step_equals_the_plain_step(nodes):
    equation = darcy(10, nodes)
    assert torch.allclose(solve(equation, execution="traced"), solve(equation), rtol=0, atol=1e-15)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_every_positive_permeability_is_solved(scale):
    found = solve(darcy(10), {"permeability": torch.tensor(scale, dtype=torch.float64)})
    assert torch.allclose(found * scale, solve(darcy(10, permeability=1.0)), rtol=1e-12, atol=0)


def test_a_medium_without_a_way_out_is_refused():
    with pytest.raises(ValueError, match="determined up to a constant only"):
        darcy(10, boundary="neumann")


@pytest.fixture(scope="module")
def benchmark():
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/problems/darcy.py"))


def test_the_truth_of_the_benchmark_has_converged_and_the_model_is_a_few_percent_off(benchmark):
    error = {}
    for nodes in (19, 51):
        equation = build_equation(benchmark["equation"](nodes))
        error[nodes] = benchmark["solution_error"](benchmark["solve"](equation), equation.layout)
    assert error[51] < 0.004
    assert error[51] < error[19] < 0.03


def test_the_draws_of_the_benchmark_have_the_noise_that_they_claim(benchmark):
    clean, noisy = (benchmark["draw"](5, level, count=4000) for level in (0.0, 0.1))
    assert torch.equal(clean.points, noisy.points)
    assert clean.start == noisy.start
    difference = noisy.values - clean.values
    assert noisy.noise_std == pytest.approx(0.1 * float(benchmark["truth"]()[0].max()))
    assert float(difference.std()) == pytest.approx(noisy.noise_std, rel=0.05)
    assert all(-1 <= v <= 1 for v in clean.start.values())
    assert benchmark["parameter_error"](benchmark["TRUE"] | {"m0": 0.0672}) == 0
