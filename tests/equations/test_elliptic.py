"""The elliptic equation against manufactured solutions without symmetry, on every kind of boundary."""

import math
import runpy
import time
from pathlib import Path

import pytest
import torch
from phi import math as phimath

from hyco.equations.registry import build_equation
from hyco.fields import to_fields
from hyco.stepping.field_rollout import physical_rollout
from hyco.stepping.generation import GenerationConfig, generate
from hyco.stepping.stepper import Stepper

SIZE, LOWER = (2.0, 1.5, 1.2), (-0.5, 0.25, 0.0)
AVERAGES = ["harmonic", "arithmetic", "cubic"]


def elliptic(resolution, boundary, nodes="cell", average="harmonic", diffusivity=1.0, reaction=1.0, source=1.0):
    axes = zip("xyz", resolution, SIZE, LOWER, strict=False)
    return build_equation(
        {
            "name": "elliptic",
            "domain": {a: {"size": size, "lower": lower, "resolution": n} for a, n, size, lower in axes},
            "boundary": boundary,
            "nodes": nodes,
            "face_average": average,
            "parameters": {"diffusivity": diffusivity, "reaction": reaction, "source": source},
        }
    )


def points(equation):
    grid = equation.layout.grid
    return torch.meshgrid(*[torch.from_numpy(grid.centers(a)) for a in grid.axes], indexing="ij")


def along(kind, s, phase):
    """A function of s in [0, 1] that respects a kind of boundary, without symmetry."""
    if kind == "periodic":
        return 1.3 + torch.sin(2 * math.pi * s + phase) + 0.3 * torch.cos(4 * math.pi * s)
    if kind == "neumann":
        return 1.0 + torch.cos(math.pi * s) + 0.4 * torch.cos(2 * math.pi * s)
    if kind == "dirichlet":
        return torch.sin(math.pi * s) + 0.4 * torch.sin(2 * math.pi * s)
    if kind == "mixed":  # a value on the lower side, no slope on the upper one
        return torch.sin(math.pi * s / 2) + 0.3 * torch.sin(3 * math.pi * s / 2)
    raise AssertionError(kind)


BOUNDARY = {"periodic": "periodic", "neumann": "neumann", "dirichlet": 0.0, "mixed": {"lower": 0.0, "upper": "neumann"}}


def smooth(xs, kinds, strength, phase):
    """A positive coefficient that is periodic where it must be."""
    total = torch.zeros_like(xs[0])
    for i, (x, kind) in enumerate(zip(xs, kinds, strict=True)):
        s = (x - LOWER[i]) / SIZE[i]
        wave = torch.sin(2 * math.pi * s + phase + i) if kind == "periodic" else torch.sin((2.0 + i) * s + phase + i)
        total = total + wave / (i + 1)
    return torch.exp(strength * total)


def manufactured(equation, kinds, offset=0.0):
    """κ, η, f = -∇·(κ∇u) + ηu and u at the grid's points."""
    xs = [x.clone().requires_grad_() for x in points(equation)]

    def derivative(values, x):
        return torch.autograd.grad(values.sum(), x, create_graph=True)[0]

    kappa, eta = smooth(xs, kinds, 0.7, 0.4), smooth(xs, kinds, 0.5, 1.7)
    u = torch.ones_like(xs[0])
    for i, (x, kind) in enumerate(zip(xs, kinds, strict=True)):
        u = u * along(kind, (x - LOWER[i]) / SIZE[i], 0.6 + i)
    u = u + offset
    flux = sum(derivative(kappa * derivative(u, x), x) for x in xs)
    parameters = {"diffusivity": kappa, "reaction": eta, "source": eta * u - flux}
    return {k: v.detach()[None] for k, v in parameters.items()}, u.detach()


def solve(equation, parameters, execution="plain", batch=1):
    zero = torch.zeros(batch, 1, *equation.layout.grid.resolution, dtype=torch.float64)
    return Stepper(equation, execution)(zero, parameters)[:, 0]


def error(n, kinds, nodes, average, offset):
    boundary = {}
    for axis, kind in zip("xyz", kinds, strict=False):
        spec = BOUNDARY[kind]
        boundary[axis] = offset if kind == "dirichlet" else spec | {"lower": offset} if kind == "mixed" else spec
    resolution = [n, n + n // 4, n - n // 4][: len(kinds)]
    if nodes == "vertex":
        resolution = [r + 1 for r in resolution]
    equation = elliptic(resolution, boundary, nodes, average)
    parameters, u = manufactured(equation, kinds, offset)
    return float((solve(equation, parameters)[0] - u).abs().max())


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize(
    ("kinds", "nodes"),
    [
        (("dirichlet",), "cell"),
        pytest.param(("dirichlet",), "vertex", marks=pytest.mark.slow),
        pytest.param(("periodic",), "cell", marks=pytest.mark.slow),
        pytest.param(("mixed",), "cell", marks=pytest.mark.slow),
        pytest.param(("dirichlet", "dirichlet"), "cell", marks=pytest.mark.slow),
        pytest.param(("dirichlet", "dirichlet"), "vertex", marks=pytest.mark.slow),
        pytest.param(("neumann", "neumann"), "cell", marks=pytest.mark.slow),
        pytest.param(("periodic", "periodic"), "cell", marks=pytest.mark.slow),
        pytest.param(("periodic", "dirichlet"), "cell", marks=pytest.mark.slow),
        pytest.param(("mixed", "periodic"), "cell", marks=pytest.mark.slow),
        pytest.param(("neumann", "mixed"), "cell", marks=pytest.mark.slow),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, tuple) else v,
)
def test_the_scheme_is_second_order_in_the_largest_error(kinds, nodes, average):
    errors = [error(n, kinds, nodes, average, offset=0.7) for n in (80, 160)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_of_a_smooth_diffusivity_the_cubic_leaves_the_smallest_error():
    sizes = {average: error(24, ("dirichlet", "periodic"), "cell", average, 0.0) for average in AVERAGES}
    assert sizes["cubic"] < min(sizes["harmonic"], sizes["arithmetic"])


@pytest.mark.parametrize("boundary", [0.0, "periodic"])
def test_the_cubic_keeps_an_exponential_exactly_and_two_values_to_their_geometric_mean(boundary):
    values = phimath.wrap(torch.exp(0.3 * torch.arange(6.0, dtype=torch.float64)), phimath.spatial("x"))
    equation = elliptic((6,), boundary, average="cubic")
    with phimath.precision(64):
        faces, single = (equation._between(v, "x").native("x") for v in (values, values.x[:2]))
    assert torch.allclose(faces, torch.exp(0.3 * (torch.arange(5.0, dtype=torch.float64) + 0.5)), rtol=1e-14)
    assert float(single) == pytest.approx(math.exp(0.15), rel=1e-14)


def test_three_dimensions_are_second_order_too():
    coarse, fine = (error(n, ("dirichlet", "periodic", "neumann"), "cell", "arithmetic", 0.2) for n in (12, 24))
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("boundary", [0.0, {"x": "periodic", "y": {"lower": 0.0, "upper": "neumann"}}])
def test_the_system_is_symmetric_so_that_sources_and_answers_can_be_swapped(boundary):
    equation = elliptic((7, 6), boundary)
    xs = points(equation)
    kinds = ("periodic", "dirichlet")
    units = torch.eye(42, dtype=torch.float64).reshape(42, 7, 6)
    parameters = {"diffusivity": smooth(xs, kinds, 0.7, 0.4)[None], "reaction": smooth(xs, kinds, 0.5, 1.7)[None]}
    inverse = solve(equation, parameters | {"source": units}, batch=42).reshape(42, 42)
    assert torch.allclose(inverse, inverse.T, rtol=0, atol=1e-15)
    assert torch.linalg.eigvalsh(inverse).min() > 0


def test_without_flux_through_the_walls_reactions_balance_sources_to_rounding():
    equation = elliptic((24, 18), "neumann")
    parameters, _ = manufactured(equation, ("neumann", "neumann"))
    u = solve(equation, parameters)
    balance = (parameters["reaction"] * u - parameters["source"]).sum()
    assert abs(balance) < 1e-12 * parameters["source"].abs().sum()


def test_the_harmonic_mean_is_exact_for_layers():
    # u = 0 and 1 on the walls, κ = 1 and 4 in the two halves: the flux is the same everywhere.
    equation = elliptic((10,), {"x": {"lower": 0.0, "upper": 1.0}}, reaction=0.0, source=0.0)
    (x,) = points(equation)
    kappa = torch.where(x < 0.5, 1.0, 4.0)
    flux = 1.0 / (1.0 / 1.0 + 1.0 / 4.0)
    expected = torch.where(x < 0.5, flux * (x + 0.5), flux + flux * (x - 0.5) / 4)
    found = solve(equation, equation.parameter_tensors(torch.float64) | {"diffusivity": kappa[None]})
    assert torch.allclose(found[0], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_a_constant_is_reproduced_on_walls_of_that_value(nodes):
    equation = elliptic((9, 7), 2.5, nodes, diffusivity="1 + x*x + y", reaction=0.0, source=0.0)
    assert torch.allclose(solve(equation, equation.parameter_tensors(torch.float64)), torch.tensor(2.5).double())


def test_nodes_begin_and_end_on_the_walls():
    equation = elliptic((5, 4), 0.0, "vertex")
    x, y = points(equation)
    assert torch.allclose(x[:, 0], torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.5]).double())
    assert torch.allclose(y[0], torch.tensor([0.25, 0.75, 1.25, 1.75]).double())
    u = solve(equation, equation.parameter_tensors(torch.float64))[0]
    assert (u[1:-1, 1:-1] > 0).all()
    assert u[0].abs().max() == u[-1].abs().max() == u[:, 0].abs().max() == u[:, -1].abs().max() == 0


@pytest.mark.parametrize("execution", ["plain", pytest.param("traced", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name",
    ["diffusivity", pytest.param("reaction", marks=pytest.mark.slow), pytest.param("source", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("nodes", ["cell", pytest.param("vertex", marks=pytest.mark.slow)])
def test_the_gradient_with_respect_to_each_field_passes_the_taylor_test(name, execution, nodes):
    boundary = 0.3 if nodes == "vertex" else {"x": "periodic", "y": {"lower": 0.3, "upper": "neumann"}}
    equation = elliptic((12, 9), boundary, nodes)
    parameters, _ = manufactured(equation, ("periodic", "mixed"))
    stepper = Stepper(equation, execution)
    zero = torch.zeros(1, 1, 12, 9, dtype=torch.float64)

    def loss(values):
        u = stepper(zero, parameters | {name: values})
        return (u**2 * (1 + u)).sum()

    generator = torch.Generator().manual_seed(3)
    point = parameters[name].clone().requires_grad_()
    direction = point.detach() * torch.rand(point.shape, generator=generator, dtype=torch.float64)
    value = loss(point)
    slope = (torch.autograd.grad(value, point)[0] * direction).sum()
    remainders = [
        abs(float((loss(point.detach() + h * direction) - value - h * slope).detach())) for h in (4e-3, 2e-3, 1e-3)
    ]
    orders = torch.tensor(remainders).log2().diff().neg()
    assert ((orders > 1.95) & (orders < 2.05)).all()


def test_every_entry_of_the_gradient_equals_central_differences():
    equation = elliptic((6, 5), {"x": 0.4, "y": "periodic"})
    parameters, _ = manufactured(equation, ("dirichlet", "periodic"))
    stepper, h = Stepper(equation), 1e-5
    for name, values in parameters.items():
        point = values.clone().requires_grad_()
        zero = torch.zeros(1, 1, 6, 5, dtype=torch.float64)
        (found,) = torch.autograd.grad(stepper(zero, parameters | {name: point}).square().sum(), point)
        steps = h * torch.eye(30, dtype=torch.float64).reshape(30, 6, 5)
        shifted = torch.cat([values + steps, values - steps])
        losses = stepper(zero.expand(60, -1, -1, -1), parameters | {name: shifted}).square().sum((1, 2, 3))
        expected = ((losses[:30] - losses[30:]) / (2 * h)).reshape(6, 5)
        assert torch.allclose(found[0], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_a_batch_gives_what_its_samples_give_one_by_one(nodes):
    equation = elliptic((8, 7), 0.1, nodes)
    parameters, _ = manufactured(equation, ("dirichlet", "dirichlet"))
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    several = parameters | {"diffusivity": parameters["diffusivity"] * scale[:, None, None], "reaction": scale}
    together = solve(equation, several, "traced", batch=3)
    for i in range(3):
        single = {k: v[i : i + 1] if v.shape[0] == 3 else v for k, v in several.items()}
        assert torch.equal(together[i], solve(equation, single, "traced")[0])


@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_the_traced_step_equals_the_plain_step_and_the_fields_do_not_matter(nodes):
    equation = elliptic((8, 7), 0.1, nodes)
    parameters, _ = manufactured(equation, ("dirichlet", "dirichlet"))
    traced = Stepper(equation, "traced")
    other = torch.full((2, 1, 8, 7), torch.nan, dtype=torch.float64)
    found = traced(other, parameters)
    assert traced.execution == "traced"
    assert torch.allclose(found[1, 0], solve(equation, parameters)[0], rtol=0, atol=1e-15)


def test_numbers_and_formulas_are_the_same_parameters():
    numbers = elliptic((8, 7), 0.0, diffusivity=2.0, reaction=0.5, source=3.0)
    formulas = elliptic((8, 7), 0.0, diffusivity="2 + 0*x", reaction="0.5 + 0*y", source="3")
    one, other = (solve(e, e.parameter_tensors(torch.float64)) for e in (numbers, formulas))
    assert torch.allclose(one, other, rtol=0, atol=1e-15)


def test_fields_without_a_batch_are_solved_too():
    equation = elliptic((8, 7), 0.0)
    fields = to_fields(torch.zeros(1, 8, 7, dtype=torch.float64), equation.layout, ())
    with phimath.precision(64):
        found = physical_rollout(equation, fields, equation.parameters, 1)["u"].values.native(["time", "x", "y"])
    expected = solve(equation, equation.parameter_tensors(torch.float64))
    assert torch.allclose(torch.as_tensor(found), expected, rtol=0, atol=1e-12)


def test_a_trajectory_is_zero_and_then_the_solution():
    equation = elliptic((8, 7), 0.0, diffusivity="1 + x*x")
    config = GenerationConfig(simulations=2, steps=1, length_scale=1.0)
    trajectories = generate(equation, config, seed=0).tensors["trajectories"]
    assert trajectories.shape == (2, 2, 1, 8, 7)
    assert trajectories[:, 0].abs().max() == 0
    expected = solve(equation, equation.parameter_tensors(torch.float64))
    assert torch.allclose(trajectories[:, 1, 0], expected.expand(2, 8, 7), rtol=0, atol=1e-15)


def test_values_that_leave_no_solution_give_nan_and_no_exception():
    equation = elliptic((8, 7), 0.0, reaction=0.0)
    parameters = equation.parameter_tensors(torch.float64)
    for name, values in (("diffusivity", -1.0), ("reaction", -1e3), ("source", torch.nan)):
        values = torch.tensor([1.0 if name != "reaction" else 0.0, values], dtype=torch.float64)
        found = solve(equation, parameters | {name: values}, "traced", batch=2)
        assert torch.isfinite(found[0]).all()
        assert torch.isnan(found[1]).any()


def test_coefficients_that_differ_by_many_orders_of_magnitude_are_solved():
    equation = elliptic((20, 16), 0.0)
    x, _ = points(equation)
    parameters = equation.parameter_tensors(torch.float64)
    for diffusivity in (1e-12, 1e12, torch.where(x < 0.3, 1e-6, 1e6)[None]):
        found = solve(equation, parameters | {"diffusivity": torch.as_tensor(diffusivity, dtype=torch.float64)})
        assert torch.isfinite(found).all()
        assert (found > 0).all()
        assert (found < 1 + 1e-9).all()  # u ≤ f/η


def test_the_size_of_the_truth_is_solved_in_little_time():
    equation = elliptic((101, 101), 0.0, "vertex", diffusivity="1 + 0.5*sin(3*x)*y", source="cos(y) + x")
    parameters = equation.parameter_tensors(torch.float64)
    begin = time.perf_counter()
    solve(equation, parameters)
    assert time.perf_counter() - begin < 5.0  # 0.05 s on one core


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"boundary": "neumann", "reaction": 0.0}, "determined up to a constant only: give boundary a number"),
        ({"boundary": "periodic", "reaction": "0*x"}, "determined up to a constant only"),
        ({"boundary": "neumann", "nodes": "vertex"}, "nodes: vertex needs a value on every wall"),
        ({"boundary": {"x": 0.0}}, r"one entry per axis \(x, y\)"),
        ({"boundary": {"x": 0.0, "y": {"lower": "periodic", "upper": 0.0}}}, "both ends of an axis must be periodic"),
        ({"boundary": {"x": 0.0, "y": {"lower": 1.0}}}, "boundary.y needs lower and upper"),
        ({"boundary": "open"}, "'open': unknown name open, neither a wall nor one of"),
        ({"boundary": 0.0, "diffusivity": "x"}, "diffusivity leaves what is stable"),
        ({"boundary": 0.0, "reaction": -1.0}, "reaction leaves what is stable"),
    ],
)
def test_what_has_no_unique_solution_is_refused_before_anything_runs(keys, message):
    with pytest.raises(ValueError, match=message):
        elliptic((8, 7), **({"boundary": 0.0} | keys))


def test_the_benchmark_has_the_exact_solution_that_it_claims():
    problem = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/problems/elliptic.py"))
    errors = []
    for nodes in (19, 37):
        equation = build_equation(problem["equation"](nodes))
        errors.append(
            problem["solution_error"](solve(equation, equation.parameter_tensors(torch.float64))[0], equation.layout)
        )
    assert errors[0] < 0.01
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_the_benchmark_draws_the_same_for_the_same_seed_and_reads_by_interpolation():
    problem = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/problems/elliptic.py"))
    sensors = problem["sensors"](3)
    assert torch.equal(sensors, problem["sensors"](3))
    assert not torch.equal(sensors, problem["sensors"](4))
    assert sensors.min() > 0
    layout = build_equation(problem["equation"]()).layout
    x, y = points(build_equation(problem["equation"]()))
    plane = 1 + 2 * x - 0.5 * y
    expected = 1 + 2 * sensors[:, 0] - 0.5 * sensors[:, 1]
    assert torch.allclose(problem["read"](plane[None], layout, sensors)[0], expected, rtol=0, atol=1e-13)
    assert problem["parameter_error"](problem["TRUE"]) == 0
    start = problem["start"](0)
    assert problem["parameter_error"](start) > 0.3
    assert [s["initial_guess"] for p in problem["learnable"](start) for s in p["scalars"]] == [
        start[name] for name in ("A", "ax", "ay", "B", "bx", "by")
    ]
