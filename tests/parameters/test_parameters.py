"""Learnable parameters: coordinates and values, priors, bounds, and what is refused."""

import math

import pytest
import torch
from pydantic import TypeAdapter

from hyco.expressions import coordinates
from hyco.grid import Grid
from hyco.parameters import LearnableParameter, ParameterSpace

GRID = Grid(axes=("x", "y"), lower=(-1.0, 0.0), size=(4.0, 3.0), resolution=(12, 10))
LINE = Grid(axes=("x",), lower=(0.0,), size=(10.0,), resolution=(40,))


def learnable(**data):
    return TypeAdapter(LearnableParameter).validate_python(data)


def space(*parameters, grid=GRID):
    return ParameterSpace([learnable(**p) for p in parameters], grid)


@pytest.mark.parametrize(
    ("transform", "bounds"),
    [
        ("auto", (0.01, 1.0)),
        ("none", (-2.0, 3.0)),
        ("log", (0.1, 9.0)),
        ("logit", (-1.0, 2.0)),
        ("none", None),
        ("log", None),
    ],
)
def test_coordinates_and_values_are_inverse_and_slopes_are_derivatives(transform, bounds):
    low, high = bounds or (0.5, 2.0)
    guess = low + 0.3 * (high - low)
    parameter = learnable(name="a", initial_guess=guess, bounds=bounds, transform=transform)
    s = ParameterSpace([parameter], GRID)
    z = s.initial
    assert float(s.to_values(z)["a"]) == pytest.approx(guess)
    other = low + 0.6 * (high - low)
    moved = torch.tensor([parameter.coordinate(other)], dtype=torch.float64)
    assert float(s.to_values(moved)["a"]) == pytest.approx(other)
    h = 1e-6
    numeric = (s.to_values(z + h)["a"] - s.to_values(z - h)["a"]) / (2 * h)
    assert float(parameter.slope(z)) == pytest.approx(float(numeric), rel=1e-6)
    if bounds and transform != "logit":
        assert (float(s.lower), float(s.upper)) == (0.0, 1.0)
        for edge, value in ((0.0, low), (1.0, high)):
            assert float(s.to_values(torch.tensor([edge], dtype=torch.float64))["a"]) == pytest.approx(value)


def test_a_prior_is_a_residual_in_its_own_standard_deviations():
    s = space({"name": "a", "initial_guess": 2.0, "prior": {"mean": 1.0, "std": 0.5}})
    assert s.prior_residuals(s.initial).tolist() == [2.0]
    assert space({"name": "a", "initial_guess": 2.0}).prior_residuals(torch.zeros(1)).shape == (0,)


@pytest.mark.parametrize(
    ("bounds", "guesses"),
    [((1e-3, 1.0), (1e-3, 0.1, 1.0)), ((1e-3, 1e7), (1e-3, 0.1, 1e7)), (None, (1e-3, 0.1, 9.0))],
)
def test_what_a_prior_says_beforehand_does_not_depend_on_the_first_guess(bounds, guesses):
    prior = {"mean": 0.1, "std": 0.02}
    for guess in guesses:
        parameter = learnable(name="a", initial_guess=guess, bounds=bounds, transform="log", prior=prior)
        interval = parameter.coordinate(0.1 + 1.96 * 0.02) - parameter.coordinate(0.1 - 1.96 * 0.02)
        assert float(ParameterSpace([parameter], GRID).width) == pytest.approx(interval, rel=0.1)


@pytest.mark.parametrize(
    ("transform", "bounds", "mean"), [("log", (0.1, 1.0), 0.0), ("logit", (0.1, 1.0), 1.0), ("log", None, -1.0)]
)
def test_a_prior_about_what_a_transform_cannot_reach_has_a_width(transform, bounds, mean):
    prior = {"mean": mean, "std": 0.01}
    width = space({"name": "a", "initial_guess": 0.5, "bounds": bounds, "transform": transform, "prior": prior}).width
    assert 0 < float(width) <= 7.4


def test_a_formula_of_unknown_numbers_is_a_field_where_it_uses_the_position():
    s = space(
        {
            "name": "k",
            "kind": "expression",
            "expression": "min(2.5, 0.1 + A * exp(-(x - c)**2 - 2 * y))",
            "scalars": [{"name": "A", "initial_guess": 3.0}, {"name": "c", "initial_guess": 0.5, "bounds": (0.0, 2.0)}],
        }
    )
    x, y = coordinates(GRID).values()
    value = s.to_values(s.initial)["k"]
    assert torch.allclose(value, (0.1 + 3.0 * torch.exp(-((x - 0.5) ** 2) - 2 * y)).clamp_max(2.5))
    assert s.to_values(s.initial.expand(3, -1))["k"].shape == (3, 12, 10)
    assert set(s.numbers(s.initial)) == {"k.A", "k.c"}
    assert s.labels == ("k.A", "k.c")


def test_a_formula_without_the_position_is_a_number():
    numbers = [{"name": n, "initial_guess": v} for n, v in (("a", 2.0), ("b", 3.0))]
    s = space({"name": "k", "kind": "expression", "expression": "a * b", "scalars": numbers})
    assert float(s.to_values(s.initial)["k"]) == 6.0
    assert not s.learnable[0].is_field


def test_gaussian_bumps_have_amplitudes_centres_and_a_ceiling():
    bumps = [{"amplitude": 1.0, "center": [0.0, 1.0]}, {"amplitude": 2.0, "center": [2.0, 2.0], "width": 0.3}]
    s = space({"name": "k", "kind": "gaussians", "offset": 0.1, "terms": bumps, "maximum": 1.5})
    x, y = coordinates(GRID).values()
    expected = 0.1 + torch.exp(-(x**2) - (y - 1) ** 2)
    expected = expected + 2.0 * torch.exp(-((x - 2) ** 2 + (y - 2) ** 2) / (2 * 0.3**2))
    assert torch.allclose(s.to_values(s.initial)["k"], expected.clamp_max(1.5))
    assert s.labels[:3] == ("k.amplitude_1", "k.center_x_1", "k.center_y_1")


def test_a_fourier_field_has_each_mode_once_and_a_prior_that_falls_with_the_wavenumber():
    s = space({"name": "phi", "kind": "fourier", "modes": 3, "mean": False}, grid=LINE)
    assert s.labels == tuple(f"phi.{f}_{k}" for k in (1, 2, 3) for f in ("cos", "sin"))
    z = torch.zeros(6, dtype=torch.float64)
    z[3] = 1.0
    x = coordinates(LINE)["x"]
    assert torch.allclose(s.to_values(z)["phi"], 0.5 * torch.sin(2 * math.pi * 2 * x / 10))
    assert torch.equal(s.prior_residuals(z), z)
    # In two dimensions: (5² - 1)/2 pairs, and the mean.
    assert len(space({"name": "phi", "kind": "fourier", "modes": 2})) == 25


def test_a_fourier_field_stays_positive_or_inside_its_bounds_where_it_is_told_to():
    z = torch.linspace(-9, 9, 7, dtype=torch.float64)
    base = {"name": "k", "kind": "fourier", "modes": 3, "offset": 0.5}
    for extra, low, high in (
        ({"transform": "log"}, 0.0, math.inf),
        ({"transform": "logit", "bounds": (0.2, 0.9)}, 0.2, 0.9),
    ):
        s = space(base | extra, grid=LINE)
        assert torch.allclose(s.to_values(s.initial)["k"], torch.tensor(0.5).double())
        value = s.to_values(z)["k"]
        assert low < float(value.min()) < 0.5 < float(value.max()) < high


@pytest.mark.parametrize("bounds", [None, (0.1, 4.0)])
def test_a_field_on_the_grid_starts_at_its_guess_which_may_be_a_formula(bounds):
    data = {"name": "k", "kind": "field", "initial_guess": "1 + 0.2 * x", "bounds": bounds}
    s = space(data | {"regularisation": {"weight": 2.0}})
    value = s.to_values(s.initial)["k"]
    assert torch.allclose(value, (1 + 0.2 * coordinates(GRID)["x"]).expand(12, 10))
    assert float(s.prior_residuals(s.initial).abs().max()) < 1e-12


@pytest.mark.parametrize("kind", ["tikhonov", "h1", "tv"])
def test_a_regularisation_is_the_integral_that_it_says(kind):
    data = {"name": "k", "kind": "field", "initial_guess": 0.0, "regularisation": {"kind": kind, "weight": 3.0}}
    s = space(data)
    x, y = coordinates(GRID).values()
    z = (0.5 * x - 0.25 * y).flatten()
    penalty = float(s.prior_residuals(z).square().sum())
    volume = GRID.spacing[0] * GRID.spacing[1]
    inner = (11 * 10, 12 * 9)  # faces that have a slope
    if kind == "tikhonov":
        expected = 3.0 * volume * float(z.square().sum())
    elif kind == "h1":
        expected = 3.0 * volume * (inner[0] * 0.25 + inner[1] * 0.0625)
    else:
        both, only_x, only_y = 11 * 9, 11, 9
        sizes = [math.hypot(0.5, 0.25), 0.5, 0.25, 0.0]
        counts = [both, only_x, only_y, 1]
        expected = 3.0 * volume * sum(n * math.sqrt(v**2 + 1e-6) for n, v in zip(counts, sizes, strict=True))
    assert penalty == pytest.approx(expected, rel=1e-9)


def test_a_weight_that_is_to_be_chosen_must_be_chosen_first():
    s = space({"name": "k", "kind": "field", "initial_guess": 0.0})
    with pytest.raises(ValueError, match="weight of k is not chosen"):
        s.prior_residuals(s.initial)
    s.choose(["k"], 2.0)
    assert s.prior_residuals(s.initial).shape == (11 * 10 + 12 * 9,)


def test_several_parameters_share_one_vector():
    s = space({"name": "a", "initial_guess": 2.0}, {"name": "phi", "kind": "fourier", "modes": 1, "mean": False})
    assert len(s) == 1 + 8
    assert s.slice_of("phi") == slice(1, 9)
    one, many = s.for_stepper(s.initial), s.for_stepper(s.initial.expand(5, -1))
    assert (one["a"].shape, one["phi"].shape) == ((), (1, 12, 10))
    assert (many["a"].shape, many["phi"].shape) == ((5,), (5, 12, 10))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"bounds": (1.0, 0.1)}, "rising order"),
        ({"initial_guess": 5.0}, "lies outside bounds"),
        ({"bounds": (-1.0, 1.0), "transform": "log"}, "needs positive bounds"),
        ({"bounds": None, "transform": "logit"}, "needs bounds"),
        ({"bounds": None, "transform": "log", "initial_guess": -1.0}, "needs a positive initial_guess"),
        ({"kind": "field", "initial_guess": "__import__('os')"}, "no function"),
        ({"kind": "field", "initial_guess": "0.5", "bounds": (1.0, 0.1)}, "rising order"),
        ({"kind": "field", "initial_guess": "0.5", "bounds": (-1.0, 1.0), "transform": "log"}, "needs positive bounds"),
        ({"kind": "nothing"}, "nothing"),
        ({"kind": "fourier", "modes": 2, "transform": "logit"}, "bounds go with transform logit"),
        ({"kind": "fourier", "modes": 2, "transform": "log"}, "needs a positive offset"),
        ({"kind": "fourier", "modes": 2, "transform": "logit", "bounds": (1.0, 2.0)}, "strictly inside bounds"),
        ({"kind": "expression", "expression": "a * q", "scalars": [{"name": "a", "initial_guess": 1.0}]}, "unknown"),
        ({"kind": "expression", "expression": "2 * x", "scalars": [{"name": "a", "initial_guess": 1.0}]}, "not use a"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(data, message):
    base = {"name": "a"}
    if data.get("kind", "scalar") == "scalar":
        base |= {"initial_guess": 0.5, "bounds": (0.1, 1.0)}
    with pytest.raises(ValueError, match=message):
        learnable(**(base | data))


@pytest.mark.parametrize(
    ("data", "key", "message"),
    [
        ({"initial_guess": 0.5, "bounds": (-0.5, 1.0)}, "bounds", "goes beyond what is stable; allowed: 0 to 1"),
        ({"initial_guess": 1.5}, "initial_guess", "1.5 goes beyond what is stable"),
        ({"kind": "field", "initial_guess": "x"}, "initial_guess", "goes beyond what is stable"),
        ({"kind": "field", "initial_guess": "0.5 + 0 * z"}, "initial_guess", "unknown name z; allowed: x, y"),
        (
            {"kind": "field", "initial_guess": "max(x / 9, 0)", "bounds": (0.0, 1.0), "transform": "logit"},
            "initial_guess",
            "strictly inside",
        ),
        ({"kind": "fourier", "modes": 9, "offset": 1.0}, "modes", "9 modes are more than"),
        ({"kind": "fourier", "modes": 2, "offset": 2.0}, "offset", "goes beyond what is stable"),
        ({"kind": "gaussians", "terms": [{"amplitude": 1.0, "center": [1.0]}]}, "terms", "1 coordinates, the domain 2"),
        (
            {"kind": "expression", "expression": "c * z", "scalars": [{"name": "c", "initial_guess": 1.0}]},
            "expression",
            "unknown name z",
        ),
        (
            {"kind": "expression", "expression": "c * 9", "scalars": [{"name": "c", "initial_guess": 1.0}]},
            "scalars",
            "goes beyond what is stable",
        ),
    ],
)
def test_what_does_not_fit_to_the_equation_or_the_grid_is_told_with_its_key(data, key, message):
    found = learnable(name="a", **data).check((0.0, 1.0), GRID)
    assert found is not None
    assert found[0] == key
    assert message in found[1]


def test_the_derivative_of_every_kind_is_right():
    s = space(
        {"name": "a", "initial_guess": 0.3, "bounds": (0.1, 2.0)},
        {"name": "b", "initial_guess": 0.3, "bounds": (-0.1, 2.0), "transform": "logit"},
        {
            "name": "g",
            "kind": "gaussians",
            "learn": ["amplitude", "center", "width"],
            "terms": [{"amplitude": 1.0, "center": [0.4, 1.2]}],
        },
        {"name": "f", "kind": "field", "initial_guess": 1.0, "bounds": (0.5, 3.0)},
        {"name": "l", "kind": "fourier", "modes": 1, "offset": 0.7, "transform": "log", "prior_std": 0.2},
    )

    def total(z):
        return sum((i + 1) * v.square().sum() for i, v in enumerate(s.to_values(z).values()))

    direction = torch.randn(len(s), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = s.initial.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(total(z), z)
    remainders = [
        abs(float(total(z.detach() + h * direction) - total(z) - h * slope @ direction)) for h in (4e-3, 2e-3, 1e-3)
    ]
    orders = torch.tensor(remainders).log2().diff().neg()
    assert ((orders > 1.95) & (orders < 2.05)).all()
