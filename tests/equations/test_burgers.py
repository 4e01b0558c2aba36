"""Burgers against exact solutions (Cole-Hopf: u = -2ν ∇φ/φ, φ any positive solution of the heat equation)."""

import itertools
import math
import runpy
from pathlib import Path

import pytest
import torch

from hyco.equations.registry import EQUATIONS, build_equation, equation_config
from hyco.stepping.generation import simulate
from hyco.stepping.stepper import Stepper

VISCOSITY = 0.2


def burgers(resolution, dt, viscosity=VISCOSITY, max_speed=2.0, size=2 * math.pi, convection=1.0, **keys):
    return build_equation(
        {
            "name": "burgers",
            "domain": {a: {"size": size, "resolution": n} for a, n in zip("xyz", resolution, strict=False)},
            "dt": dt,
            "max_speed": max_speed,
            "scheme": "upwind",
            "parameters": {"viscosity": viscosity, "convection": convection},
            **keys,
        }
    )


# Wavenumbers along x, y and z, amplitude and phase of the waves of φ.
WAVES = [
    ((1, 0, 0), 0.6, 0.3),
    ((2, 0, 0), 0.3, 1.1),
    ((0, 1, 0), 0.25, 0.7),
    ((1, 2, 0), 0.3, 2.0),
    ((0, 1, 1), 0.2, 0.4),
    ((1, 0, 2), 0.2, 1.3),
]


def exact(equation, time, viscosity=VISCOSITY, convection=1.0):
    """A solution without symmetry, one channel per axis, `[1, C, *space]`: λu solves the equation with λ = 1."""
    grid = equation.layout.grid
    points = torch.meshgrid(*[torch.from_numpy(grid.centers(a)) for a in grid.axes], indexing="ij")
    phi, slopes = 3.0 * torch.ones_like(points[0]), [torch.zeros_like(points[0]) for _ in points]
    for k, amplitude, phase in WAVES:
        if any(k[grid.dimensions :]):
            continue
        decay = amplitude * math.exp(-viscosity * sum(a**2 for a in k) * time)
        angle = phase + sum(a * p for a, p in zip(k, points, strict=False))
        phi = phi + decay * torch.cos(angle)
        for slope, a in zip(slopes, k, strict=False):
            slope -= decay * a * torch.sin(angle)
    return torch.stack([-2 * viscosity * s / phi / convection for s in slopes])[None]


def error(resolution, steps, time=1.0, convection=1.0, max_speed=0.6, **keys):
    equation = burgers(resolution, time / steps, max_speed=max_speed, convection=convection, max_convection=2.0, **keys)
    end = simulate(equation, exact(equation, 0.0, convection=convection), steps)[:, -1]
    return float((end - exact(equation, time, convection=convection)).abs().max())


@pytest.mark.parametrize("shape", [(1,), pytest.param((1, 1), marks=pytest.mark.slow)], ids=["1d", "2d"])
def test_time_splitting_is_second_order(shape):
    # One sub-step in each run, and the same grid: differences of results show the error of time alone.
    resolution = tuple(n for n, _ in zip((24, 20), shape, strict=False))
    results = []
    for steps in (6, 12, 24):
        equation = burgers(resolution, 1.0 / steps, max_speed=0.25)
        results.append(simulate(equation, exact(equation, 0.0), steps)[:, -1])
        assert equation.convection_steps == 1
    ratio = float((results[0] - results[1]).norm() / (results[1] - results[2]).norm())
    assert math.log2(ratio) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("convection", [1.0, pytest.param(-1.7, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "resolutions", [[(32,), (64,)], pytest.param([(32, 28), (64, 56)], marks=pytest.mark.slow)], ids=["1d", "2d"]
)
def test_upwind_differences_are_third_order(resolutions, convection):
    coarse, fine = (error(r, 100, convection=convection) for r in resolutions)
    assert math.log2(coarse / fine) == pytest.approx(3, abs=0.35)


@pytest.mark.parametrize(
    ("resolution", "bound"),
    [((64, 48), 2e-4), pytest.param((24, 22, 20), 5e-3, marks=pytest.mark.slow)],
    ids=["2d", "3d"],
)
def test_a_non_square_grid_follows_the_exact_solution(resolution, bound):
    assert error(resolution, 20) < bound


@pytest.mark.parametrize("convection", [1.0, -1.7])
def test_the_spectral_scheme_is_exact_but_for_fourth_order_in_time(convection):
    # One sub-step in each run.
    errors = [error((64,), n, convection=convection, max_speed=0.25, scheme="spectral") for n in (12, 24)]
    assert errors[-1] < 1e-7
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("scheme", [pytest.param("upwind", marks=pytest.mark.slow), "spectral"])
def test_the_step_is_stable_for_every_viscosity_and_convection(scheme):
    shape = (48,) if scheme == "spectral" else (48, 30)
    equation = burgers(shape, 0.1, max_speed=3.0, max_convection=1.5, scheme=scheme)
    limits = equation.config.parameter_limits
    assert limits == {"viscosity": (0.0, math.inf), "convection": (-1.5, 1.5)}
    pairs = list(itertools.product([0.0, 1e-4, 0.01, 1.0, 100.0], [-1.5, 0.0, 1.5]))
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(len(pairs), len(shape), *shape, generator=generator, dtype=torch.float64).clamp(-2.5, 2.5)
    viscosity, convection = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    stepper, state = Stepper(equation), start
    for _ in range(50):
        state = stepper(state, {"viscosity": viscosity, "convection": convection})
    assert torch.isfinite(state).all()
    energy, before = (s.square().flatten(1).mean(dim=1) for s in (state, start))
    assert (energy < (1 + 1e-9) * before).all()


@pytest.mark.parametrize("scheme", ["upwind", "spectral"])
def test_convection_outside_its_limit_is_refused(scheme):
    with pytest.raises(ValueError, match=r"parameters\.convection leaves what is stable; allowed: -1 to 1"):
        burgers((32,), 0.05, convection=1.2, scheme=scheme)


@pytest.mark.parametrize("shape", [(36, 32), pytest.param((24, 24, 20), marks=pytest.mark.slow)])
def test_the_spectral_scheme_is_far_more_accurate_in_more_dimensions_too(shape):
    upwind, spectral = error(shape, 8), error(shape, 8, max_speed=0.25, scheme="spectral")
    assert spectral < 0.01 * upwind


@pytest.mark.parametrize(
    ("shape", "viscosity", "bounds", "scheme"),
    [
        ((64,), 0.1, {}, "spectral"),  # 0.4 × 2 × 2π/64 is 0.079
        ((64,), 0.05, {}, "upwind"),
        ((64,), 0.05, {"viscosity": (0.001, 0.5)}, "upwind"),
        ((64,), 0.1, {"viscosity": (0.001, 0.5)}, "spectral"),
        ((64,), 0.09, {"viscosity": (0.001, 0.5)}, "upwind"),  # a fit asks for a quarter more
        ((64,), 0.09, {}, "spectral"),
        ((64,), 0.1, {"viscosity": (0.001, 0.5), "convection": (0.5, 2.0)}, "spectral"),
        ((64, 64), 0.1, {}, "spectral"),
        ((64, 64), 0.1, {"viscosity": (0.001, 0.5)}, "upwind"),
        ((64, 64), 0.1, {"viscosity": (0.1, 0.5)}, "spectral"),
        ((64, 64), 0.1, {"viscosity": (0.1, 0.5), "convection": (0.5, 2.0)}, "upwind"),
    ],
)
def test_the_scheme_is_spectral_where_the_grid_resolves_the_layers(shape, viscosity, bounds, scheme):
    open_speed = {"max_speed": "auto", "max_convection": "auto", "scheme": "auto"}
    config = burgers(shape, 0.05, viscosity, **open_speed).config
    ranges = config.ranges(2.0 / 1.2, bounds)
    assert ranges["scheme"] == scheme
    if not bounds:
        assert burgers(shape, 0.05, viscosity, max_speed=2.0, scheme="auto").spectral == (scheme == "spectral")


def test_the_spectral_scheme_conserves_the_mean_in_one_dimension():
    equation = burgers((64,), 0.1, scheme="spectral")
    states = simulate(equation, exact(equation, 0.0) + 0.3, 20)
    assert states.mean(dim=3).diff(dim=1).abs().max() < 1e-12


@pytest.mark.parametrize("scheme", ["upwind", pytest.param("spectral", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["viscosity", pytest.param("convection", marks=pytest.mark.slow)])
def test_the_gradient_passes_the_taylor_test(scheme, name):
    equation = burgers((32,), 0.1, scheme=scheme)
    start, stepper = exact(equation, 0.0), Stepper(equation)

    def loss(value):
        state = start
        for _ in range(4):
            state = stepper(state, {**equation.parameter_tensors(torch.float64), name: value})
        return (state**3).mean()

    point = torch.tensor(equation.parameters[name], dtype=torch.float64, requires_grad=True)
    value = loss(point)
    (slope,) = torch.autograd.grad(value, point)
    steps = (1e-2, 5e-3, 2.5e-3)
    remainders = [abs(float(loss(point.detach() - h) - value + h * slope)) for h in steps]
    orders = torch.tensor(remainders).log2().diff().neg()
    assert ((orders > 1.95) & (orders < 2.05)).all()


@pytest.mark.parametrize(
    ("scheme", "shape"), [pytest.param("upwind", (10, 8, 9), marks=pytest.mark.slow), ("spectral", (32,))]
)
def test_the_traced_step_of_a_batch_equals_the_plain_steps(scheme, shape):
    equation = burgers(shape, 0.2, scheme=scheme)
    start = torch.cat([exact(equation, 0.0), exact(equation, 0.5)])
    values = {name: torch.tensor(v, dtype=torch.float64) for name, v in PAIR.items()}
    traced = Stepper(equation, "traced")
    found = traced(start, values)
    assert traced.execution == "traced"
    for i in range(2):
        expected = Stepper(equation, "plain")(start[i : i + 1], {k: v[i] for k, v in values.items()})
        assert torch.allclose(found[i], expected[0], rtol=0, atol=1e-14)


PAIR = {"viscosity": [0.1, 0.3], "convection": [1.0, -0.5]}


def test_the_spectral_scheme_recovers_both_coefficients_of_the_cole_hopf_solution():
    # -sin πx on [-1, 1] with ν = 0.01/π: a Gauss-Newton step from the truth shows the bias of the solver.
    problem = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/problems/raissi_burgers.py"))
    viscosity, e = problem["VISCOSITY"], 1e-4
    axis = {"size": 2.0, "lower": -1.0, "resolution": 1024}
    equation = burgers((1,), 0.1, viscosity, max_speed=1.0, domain={"x": axis}, scheme="spectral")
    x = torch.from_numpy(equation.layout.grid.centers("x"))
    start = -torch.sin(math.pi * x).expand(5, 1, -1)
    convection = torch.tensor([1, 1 - e, 1 - 2 * e, 1, 1], dtype=torch.float64)
    scale = torch.tensor([1, 1, 1, 1 + e, 1 - e], dtype=torch.float64)
    stepper, states = Stepper(equation), [start]
    with torch.no_grad():
        for _ in range(10):
            states.append(stepper(states[-1], {"viscosity": viscosity * scale, "convection": convection}))
    found = torch.cat(states, dim=1)
    assert (found + found.flip(2)).abs().max() < 1e-11, "odd: zero at both ends"
    times = 0.1 * torch.arange(11)[:, None]
    residual = torch.from_numpy(problem["truth"](x.numpy(), times.double().numpy())) - found[0]
    by_convection = (3 * found[0] - 4 * found[1] + found[2]) / (2 * e)
    jacobian = torch.stack([by_convection, (found[3] - found[4]) / (2 * e)], dim=-1).reshape(-1, 2)
    bias = torch.linalg.lstsq(jacobian, residual.reshape(-1, 1)).solution[:, 0]
    assert abs(bias[0]) < 1e-7
    assert abs(bias[1]) < 1e-5


def test_the_cole_hopf_truth_solves_the_equation_and_starts_and_ends_as_it_should():
    problem = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/problems/raissi_burgers.py"))
    truth, nu, h = problem["truth"], 0.05, 1e-3
    x = torch.linspace(-1, 1, 41, dtype=torch.float64).numpy()
    assert abs(truth(x, 0.0, nu) + torch.sin(math.pi * torch.from_numpy(x)).numpy()).max() < 1e-15
    assert abs(truth([-1.0, 1.0], 0.6)).max() < 1e-13
    assert abs(truth(x, 1.0) - truth(x, 1.0, nodes=300)).max() < 1e-13, "the quadrature has converged"
    t = 0.4
    by_time = (truth(x, t + h, nu) - truth(x, t - h, nu)) / (2 * h)
    left, centre, right = (truth(x + s, t, nu) for s in (-h, 0.0, h))
    residual = by_time + centre * (right - left) / (2 * h) - nu * (right - 2 * centre + left) / h**2
    assert abs(residual).max() < 3e-3 * abs(by_time).max()
    assert [len(v) for v in problem["points"]()] == [256, 100]


@pytest.mark.slow
def test_one_dimensional_flow_in_two_dimensions_equals_the_one_dimensional_solver():
    line, plane = burgers((48,), 0.05), burgers((48, 10), 0.05)
    start = exact(line, 0.0)
    flat = torch.zeros(1, 2, 48, 10, dtype=torch.float64)
    flat[:, 0] = start[:, 0, :, None]
    one = simulate(line, start, 5)[0, -1, 0]
    # The sub-steps of the plane are shorter: equal up to the error of time.
    two = simulate(plane, flat, 5)[0, -1]
    assert torch.allclose(two[0], one[:, None].expand(-1, 10), atol=1e-4)
    assert two[1].abs().max() == 0


@pytest.mark.slow
def test_swapping_the_axes_swaps_the_solution():
    equation, swapped = burgers((32, 24), 0.05), burgers((24, 32), 0.05)
    start = exact(equation, 0.0)
    one = simulate(equation, start, 4)[:, -1]
    other = simulate(swapped, start.flip(1).transpose(2, 3).contiguous(), 4)[:, -1]
    assert torch.allclose(other.transpose(2, 3).flip(1), one, atol=1e-13)


def test_speeds_beyond_the_limit_are_refused_with_the_way_out():
    equation = burgers((32,), 0.05, max_speed=0.1)
    with pytest.raises(ValueError, match=r"set equation\.max_speed above it"):
        simulate(equation, exact(equation, 0.0) + 1.0, 2)


def test_an_unknown_equation_says_which_exist():
    with pytest.raises(ValueError, match="unknown equation 'burger'; available: advection, "):
        equation_config({"name": "burger"})
    assert "burgers" in EQUATIONS.available()
