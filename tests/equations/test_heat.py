"""The heat equation against exact solutions, on domains that are not square, with every boundary."""

import math

import pytest
import torch
from phi import math as phi_math
from pydantic import ValidationError

from hyco.equations.registry import build_equation, equation_config
from hyco.schemes.transport import diffusion
from hyco.stepping.generation import simulate
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

MIXED = {"x": {"lower": 0.4, "upper": "neumann"}, "y": "neumann", "z": 0.4}
VARYING = {
    1: "0.5 + 0.3 * sin(x + 0.4) + 0.1 * cos(2 * x)",
    2: "0.5 + 0.2 * sin(x + 0.4) * cos(y) + 0.1 * cos(2 * y)",
    3: "0.5 + 0.2 * sin(x + 0.4) * cos(y) + 0.1 * cos(z - 1)",
}


def heat(resolution, dt, diffusivity, boundary="periodic", size=None, lower=None, maximum=1.0, **keys):
    """An equation with a size of 2π along x and 4 along the other axes, unless told otherwise."""
    axes = "xyz"[: len(resolution)]
    size = size or (2 * math.pi, 4.0, 4.0)
    lower = lower or (0.0, -1.0, 0.5)
    if isinstance(boundary, dict):
        boundary = {a: boundary[a] for a in axes}
    return build_equation(
        {
            "name": "heat",
            "domain": {
                a: {"size": s, "resolution": n, "lower": low}
                for a, n, s, low in zip(axes, resolution, size, lower, strict=False)
            },
            "boundary": boundary,
            "dt": dt,
            "parameters": {"diffusivity": diffusivity},
            "max_diffusivity": maximum,
            "order": 2,
            **keys,
        }
    )


def points(equation):
    """Coordinates of the cells as fractions of the domain, by axis, `[*space]`."""
    grid = equation.layout.grid
    fractions = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in grid.resolution]
    return torch.meshgrid(*fractions, indexing="ij")


# A solution of u'' = -(k/L)² u along one axis with that boundary, as a function of x/L, its k, and its wall value.
MODES = {
    "periodic": ("periodic", lambda s: torch.sin(2 * math.pi * s + 0.7), 2 * math.pi),
    "neumann": ("neumann", lambda s: torch.cos(2 * math.pi * s), 2 * math.pi),
    "dirichlet": (0.0, lambda s: torch.sin(math.pi * s), math.pi),
    "dirichlet-neumann": (
        {"lower": 0.0, "upper": "neumann"},
        lambda s: torch.sin(1.5 * math.pi * s),
        1.5 * math.pi,
    ),
    "neumann-dirichlet": (
        {"lower": "neumann", "upper": 0.0},
        lambda s: torch.cos(0.5 * math.pi * s),
        0.5 * math.pi,
    ),
}


def mode_error(resolution, kinds, diffusivity=0.3, form="divergence", order=2):
    """Error of a product of modes at the time 0.5, one kind of boundary per axis."""
    boundary = dict(zip("xyz", (MODES[k][0] for k in kinds), strict=False))
    equation = heat(resolution, 0.05, diffusivity, boundary, substeps=2 if order == 2 else 48, form=form, order=order)
    start, rate = torch.ones(equation.layout.shape, dtype=torch.float64), 0.0
    for kind, s, size in zip(kinds, points(equation), equation.layout.grid.size, strict=True):
        start = start * MODES[kind][1](s)
        rate += diffusivity * (MODES[kind][2] / size) ** 2
    end = simulate(equation, start[None, None], 10)[0, -1, 0]
    return float((end - start * math.exp(-rate * 0.5)).abs().max())


@pytest.mark.parametrize(
    ("kinds", "resolution"),
    [
        (("dirichlet-neumann",), (24,)),
        pytest.param(("periodic", "dirichlet"), (20, 16), marks=pytest.mark.slow),
        pytest.param(("dirichlet-neumann", "periodic"), (20, 16), marks=pytest.mark.slow),
        pytest.param(("neumann-dirichlet", "neumann"), (20, 16), marks=pytest.mark.slow),
        pytest.param(("neumann", "periodic", "dirichlet-neumann"), (12, 10, 8), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_differences_are_second_order_for_every_boundary(kinds, resolution):
    coarse, fine = mode_error(resolution, kinds), mode_error([2 * n for n in resolution], kinds)
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("kinds", "resolution"),
    [
        pytest.param(("dirichlet",), (12,), marks=pytest.mark.slow),
        (("neumann",), (16,)),
        pytest.param(("periodic", "dirichlet-neumann"), (20, 18), marks=pytest.mark.slow),
        pytest.param(("neumann-dirichlet", "neumann"), (14, 16), marks=pytest.mark.slow),
        pytest.param(("dirichlet", "periodic", "neumann-dirichlet"), (8, 12, 7), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_order_4_is_fourth_order_for_every_boundary(kinds, resolution):
    grids = (resolution, [2 * n for n in resolution])
    coarse, fine = (mode_error(grid, kinds, form="nondivergence", order=4) for grid in grids)
    assert math.log2(coarse / fine) == pytest.approx(4, abs=0.1)


def exact_in_time(cells, boundary, diffusivity, start, time=0.4):
    """The state at a time, by the exponential of the differences of order 4, on [0, 2π]; functions of x/2π."""
    s = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    a = phi_math.wrap(diffusivity(s), phi_math.spatial("x"))
    unit = phi_math.wrap(torch.eye(cells, dtype=torch.float64), phi_math.batch("batch"), phi_math.spatial("x"))
    with phi_math.precision(64):
        rows = diffusion(a, {"x": boundary}, {"x": 2 * math.pi / cells}, "nondivergence", 4)(unit).native("batch,x")
    return torch.matrix_exp(time * rows.T) @ start(s)


def wave(s):
    return 0.5 + 0.3 * torch.sin(2 * math.pi * s + 0.4)


# With a slope of a across a Neumann wall ∂³u/∂n³ = -(∂a/∂n)/a Δu there, which mirrored cells take to be zero.
@pytest.mark.parametrize(
    ("boundary", "diffusivity", "start", "expected"),
    [
        ("periodic", wave, MODES["periodic"][1], 4),
        (0.0, wave, MODES["dirichlet"][1], 4),
        ("neumann", lambda s: 0.5 + 0.2 * torch.cos(math.pi * s), MODES["neumann"][1], 4),
        ("neumann", wave, MODES["neumann"][1], 2),
    ],
    ids=["periodic", "dirichlet", "neumann, a has no slope there", "neumann, a has a slope there"],
)
def test_order_4_with_a_varying_diffusivity_is_lost_only_to_its_slope_at_neumann_walls(
    boundary, diffusivity, start, expected
):
    # Each grid has three times the cells of the one before, so that it has cells with the same centres.
    grids = [exact_in_time(30 * k, boundary, diffusivity, start)[k // 2 :: k] for k in (1, 3, 9)]
    ratio = float((grids[0] - grids[1]).norm() / (grids[1] - grids[2]).norm())
    assert math.log(ratio, 3) == pytest.approx(expected, abs=0.1)


# Legendre: ((1 - x²) P')' = -n(n + 1) P. P₂ is 0 at 1/√3 and flat at 0; P₃ is flat at ±1/√5 and 0 at √(3/5).
# In the other form a = u/(-u″) for u = sin x + 0.02 sin 3x.
LEGENDRE = "1 - x**2"
RATIO = "(sin(x) + 0.02 * sin(3 * x)) / (sin(x) + 0.18 * sin(3 * x))"


def legendre(n, x):
    return 1.5 * x**2 - 0.5 if n == 2 else 2.5 * x**3 - 1.5 * x


@pytest.mark.parametrize(
    ("form", "lower", "upper", "boundary"),
    [
        pytest.param("divergence-2", 0.0, 3**-0.5, {"x": {"lower": "neumann", "upper": 0.0}}, marks=pytest.mark.slow),
        pytest.param("divergence-3", -(5**-0.5), 5**-0.5, "neumann", marks=pytest.mark.slow),
        pytest.param("divergence-3", 0.0, 0.6**0.5, 0.0, marks=pytest.mark.slow),
        ("nondivergence", 0.0, 2 * math.pi, "periodic"),
        pytest.param(
            "nondivergence", 0.0, math.pi / 2, {"x": {"lower": 0.0, "upper": "neumann"}}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_varying_diffusivity_has_its_exact_solution_to_second_order(form, lower, upper, boundary):
    errors = []
    form, _, degree = form.partition("-")
    formula, time = (LEGENDRE, 0.1) if degree else (RATIO, 0.5)
    for n in (40, 80):
        equation = heat((n,), time / 10, formula, boundary, (upper - lower,), (lower,), 2.0, form=form, substeps=16)
        x = torch.from_numpy(equation.layout.grid.centers("x"))
        start = legendre(int(degree), x) if degree else torch.sin(x) + 0.02 * torch.sin(3 * x)
        decay = math.exp(-time * (int(degree) * (int(degree) + 1) if degree else 1))
        end = simulate(equation, start[None, None], 10)[0, -1, 0]
        errors.append(float((end - decay * start).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def smooth_start(equation):
    """A state with the value and the slope that MIXED asks for, or a periodic one."""
    start = torch.ones(equation.layout.shape, dtype=torch.float64)
    for axis, s in zip("xyz", points(equation), strict=False):
        if equation.config.boundary == "periodic":
            start = start * torch.sin(2 * math.pi * s + ord(axis))
        else:
            quarter = {"x": torch.sin(0.5 * math.pi * s), "y": torch.cos(math.pi * s), "z": torch.sin(math.pi * s)}
            start = start * quarter[axis]
    return (start + 0.4)[None, None]


@pytest.mark.parametrize(
    ("form", "boundary"),
    [
        pytest.param("divergence", MIXED, marks=pytest.mark.slow),
        ("nondivergence", MIXED),
        pytest.param("divergence", "periodic", marks=pytest.mark.slow),
    ],
)
def test_a_diffusivity_that_varies_along_all_axes_is_second_order(form, boundary):
    # Each grid has three times the cells of the one before, so that it has cells with the same centres.
    size, results = (2 * math.pi, 2 * math.pi), []
    for refined in (1, 3, 9):
        resolution = [n * refined for n in (14, 10)]
        equation = heat(resolution, 0.05, VARYING[2], boundary, size, (0.0, 0.0), form=form, substeps=4)
        end = simulate(equation, smooth_start(equation), 4)[0, -1, 0]
        results.append(end[refined // 2 :: refined, refined // 2 :: refined])
    ratio = float((results[0] - results[1]).norm() / (results[1] - results[2]).norm())
    assert math.log(ratio, 3) == pytest.approx(2, abs=0.1)


@pytest.mark.slow
def test_time_stepping_is_second_order():
    results = []
    for steps in (6, 12, 24):
        # The bound is high so that all runs have many stages: the constant of the error hardly depends on them then.
        equation = heat((14, 10), 0.3 / steps, VARYING[2], MIXED, maximum=200.0)
        assert equation.stages >= 15
        assert equation.substeps == 1
        results.append(simulate(equation, smooth_start(equation), steps)[:, -1])
    ratio = float((results[0] - results[1]).norm() / (results[1] - results[2]).norm())
    assert math.log2(ratio) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("form", ["divergence", pytest.param("nondivergence", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "boundary", ["periodic", pytest.param({"x": {"lower": 0.0, "upper": "neumann"}, "y": 0.0}, marks=pytest.mark.slow)]
)
def test_the_step_is_stable_for_every_diffusivity_up_to_the_limit(form, boundary):
    equation = heat((20, 12), 0.1, 1.0, boundary, maximum=30.0, form=form)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, 1, 20, 12, generator=generator, dtype=torch.float64)
    values = 30 * torch.tensor([0.0, 1e-3, 0.3, 1.0, 1.0, 1.0], dtype=torch.float64)[:, None, None].repeat(1, 20, 12)
    values[4] *= torch.rand(20, 12, generator=generator, dtype=torch.float64)
    values[5, :10] = 0.0
    stepper = Stepper(equation)
    end = rollout(lambda state: stepper(state, {"diffusivity": values}), start, 30)[:, -1]
    assert (end.abs().amax((1, 2, 3)) <= start.abs().amax((1, 2, 3))).all()
    assert torch.allclose(end[0], start[0], rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["periodic", {"x": {"lower": 0.0, "upper": "neumann"}, "y": 0.0}])
def test_with_order_4_slopes_never_grow_for_any_diffusivity_up_to_the_limit(boundary):
    """-Δ is symmetric, and with it the step, in the product <u, -Δv>: its norm does not grow if the step is stable."""
    equation = heat((20, 12), 0.1, 1.0, boundary, maximum=30.0, form="nondivergence", order=4)
    spacing = dict(zip("xy", equation.layout.grid.spacing, strict=True))
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, 1, 20, 12, generator=generator, dtype=torch.float64)
    # The roughest state, which only as many stages as the stiffness of this order asks for can bear.
    start[3, 0] = (-1.0) ** (torch.arange(20)[:, None] + torch.arange(12))
    values = 30 * torch.tensor([0.0, 1e-3, 0.3, 1.0, 1.0, 1.0], dtype=torch.float64)[:, None, None].repeat(1, 20, 12)
    values[4] *= torch.rand(20, 12, generator=generator, dtype=torch.float64)
    values[5, :10] = 0.0

    def slopes(state):
        tensor = phi_math.wrap(state[:, 0], phi_math.batch("batch"), phi_math.spatial("x,y"))
        with phi_math.precision(64):
            laplacian = diffusion(1.0, boundary, spacing, "nondivergence", 4)(tensor).native("batch,x,y")
        return -(state[:, 0] * laplacian).sum((1, 2))

    stepper = Stepper(equation)
    states = [start, *rollout(lambda state: stepper(state, {"diffusivity": values}), start, 30).unbind(1)]
    sizes = torch.stack([slopes(state) for state in states])
    assert (sizes.diff(dim=0) <= 1e-9 * sizes[0]).all()
    assert (torch.stack(states).abs().amax((0, 2, 3, 4)) <= 1.5 * start.abs().amax((1, 2, 3))).all()


@pytest.mark.parametrize(
    ("boundary", "resolution"),
    [
        pytest.param("periodic", (20, 14), marks=pytest.mark.slow),
        pytest.param("neumann", (20, 14), marks=pytest.mark.slow),
        ({"x": "periodic", "y": "neumann", "z": "periodic"}, (8, 6, 7)),
    ],
)
def test_the_mean_is_kept_to_rounding(boundary, resolution):
    equation = heat(resolution, 0.1, VARYING[len(resolution)], boundary, maximum=5.0)
    start = torch.randn(1, 1, *resolution, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5
    trajectory = simulate(equation, start, 5)
    assert float(trajectory.flatten(2).mean(2).diff(dim=1).abs().max()) < 1e-12
    assert float((trajectory[:, 5] - trajectory[:, 0]).abs().max()) > 0.1


def plain_step(equation, state, values):
    return Stepper(equation, "plain")(state, {"diffusivity": values})


def test_a_constant_field_gives_what_its_number_gives():
    equation = heat((20, 14), 0.1, 0.4, MIXED)
    start = torch.randn(1, 1, 20, 14, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    number = torch.tensor(0.4, dtype=torch.float64)
    one = plain_step(equation, start, number)
    other = plain_step(equation, start, number.expand(1, 20, 14))
    assert torch.allclose(one, other, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("form", "resolution", "order"),
    [
        ("nondivergence", (24,), 2),
        pytest.param("divergence", (6, 5, 7), 2, marks=pytest.mark.slow),
        pytest.param("nondivergence", (12, 9), 4, marks=pytest.mark.slow),
    ],
)
def test_the_traced_step_equals_the_plain_step_to_rounding(form, resolution, order):
    equation = heat(resolution, 0.1, VARYING[len(resolution)], MIXED, form=form, order=order)
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(3, 1, *resolution, generator=generator, dtype=torch.float64)
    field = torch.rand(3, *resolution, generator=generator, dtype=torch.float64)
    for values in (field, field[:1], field.flatten(1)[:, 0]):
        traced = Stepper(equation, "traced")
        found = traced(start, {"diffusivity": values})
        assert traced.execution == "traced"
        assert torch.allclose(found, plain_step(equation, start, values), rtol=0, atol=1e-13)
        # Each sample has its own diffusivity.
        alone = plain_step(equation, start[1:2], values[1:2] if len(values) == 3 else values)
        assert torch.allclose(found[1:2], alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("form", "boundary", "kind", "order"),
    [
        pytest.param("divergence", MIXED, "field", 2, marks=pytest.mark.slow),
        ("nondivergence", "periodic", "field", 2),
        pytest.param("divergence", MIXED, "scalar", 2, marks=pytest.mark.slow),
        pytest.param("nondivergence", MIXED, "field", 4, marks=pytest.mark.slow),
        pytest.param("nondivergence", MIXED, "scalar", 4, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_gradient_passes_the_taylor_test(form, boundary, kind, order):
    equation = heat((12, 9), 0.1, 0.4, boundary, form=form, order=order)
    generator = torch.Generator().manual_seed(4)
    start = torch.randn(2, 1, 12, 9, generator=generator, dtype=torch.float64)
    shape = () if kind == "scalar" else (1, 12, 9)
    point = 0.3 + 0.3 * torch.rand(shape, generator=generator, dtype=torch.float64)
    direction = torch.randn(shape, generator=generator, dtype=torch.float64).abs()
    stepper = Stepper(equation)

    def loss(values):
        return rollout(lambda state: stepper(state, {"diffusivity": values}), start, 3).square().mean()

    point.requires_grad_(True)
    value = loss(point)
    (slope,) = torch.autograd.grad(value, point)
    value, along, point = value.detach(), (slope * direction).sum(), point.detach()
    remainders = [abs(float(loss(point + h * direction) - value - h * along)) for h in (4e-3, 2e-3, 1e-3)]
    orders = torch.tensor(remainders, dtype=torch.float64).log2().diff().neg()
    assert ((orders > 1.95) & (orders < 2.05)).all()


@pytest.mark.slow
def test_swapping_the_axes_swaps_the_solution():
    boundary = {"x": {"lower": 0.4, "upper": "neumann"}, "y": "periodic"}
    other = {"x": "periodic", "y": {"lower": 0.4, "upper": "neumann"}}
    formula = "0.4 + 0.1 * sin({}) + 0.05 * {}"
    one = heat((16, 11), 0.1, formula.format("x", "y"), boundary, (3.0, 2.0), (0.0, 1.0))
    two = heat((11, 16), 0.1, formula.format("y", "x"), other, (2.0, 3.0), (1.0, 0.0))
    start = torch.randn(1, 1, 16, 11, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    first, second = simulate(one, start, 4)[:, -1], simulate(two, start.transpose(2, 3).contiguous(), 4)[:, -1]
    assert torch.allclose(second.transpose(2, 3), first, rtol=0, atol=1e-13)


@pytest.mark.slow
def test_walls_of_different_temperature_end_in_the_straight_line_between_them():
    equation = heat((15,), 1.0, 0.8, {"x": {"lower": 2.0, "upper": -1.0}}, size=(1.5,))
    (s,) = points(equation)
    end = simulate(equation, torch.zeros(1, 1, 15, dtype=torch.float64), 40)[0, -1, 0]
    assert torch.allclose(end, 2 - 3 * s, rtol=0, atol=1e-10)


def test_long_steps_are_cut_into_shorter_ones():
    equation = heat((64,), 1.0, 1.0, maximum=50.0)
    assert equation.substeps > 1
    assert equation.stages <= 49


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"diffusivity": 2.0}}, "leaves what is stable"),
        ({"parameters": {"diffusivity": "0.1 / (x - x)"}}, "diffusivity is not finite in 64 cells"),
        ({"parameters": {"diffusivity": float("nan")}}, "diffusivity.*\n.*should be a finite number"),
        ({"parameters": {"diffusivity": -0.1}}, "leaves what is stable"),
        ({"parameters": {"diffusivity": "0.1 + z"}}, "unknown name z"),
        ({"boundary": "open"}, "'open': unknown name open, neither a wall nor one of"),
        ({"boundary": {"x": "periodic"}}, "one entry per axis"),
        ({"form": "mixed"}, "divergence"),
        ({"order": 4}, "order: 4 is for form: nondivergence"),
        ({"order": 3, "form": "nondivergence"}, "2, 4 or 'spectral'"),
    ],
)
def test_wrong_configurations_say_what_is_allowed(change, message):
    data = {
        "name": "heat",
        "domain": {"x": {"size": 1.0, "resolution": 8}, "y": {"size": 1.0, "resolution": 8}},
        "dt": 0.1,
        "parameters": {"diffusivity": 0.1},
        "max_diffusivity": 1.0,
    }
    equation_config(data)
    with pytest.raises(ValidationError, match=message):
        equation_config({**data, **change})
