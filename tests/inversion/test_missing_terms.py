"""Terms that an equation lacks: what they add, that they are named, and what a misfit is said to be of."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from hyco.equations.registry import build_equation
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.estimate import NumberEstimate, PhysicalEstimate
from hyco.inversion.estimates import judged_numbers
from hyco.inversion.found_terms import FoundTerms
from hyco.inversion.held_out import HeldOut
from hyco.inversion.missing_terms import TermSearch
from hyco.inversion.term_fit import TermFit
from hyco.inversion.term_library import library
from hyco.inversion.terms import AddedTerms
from hyco.inversion.verdict import Verdict
from hyco.observations import ObservationConfig, observe
from hyco.report.misfit import verdict_words
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig

TRANSPORT = "D*dx(dx(u)) - c*dx(u)"
EQUATION = {
    "name": "formula",
    "domain": {"x": {"size": 6.0, "resolution": 32}},
    "dt": 0.1,
    "rates": {"u": TRANSPORT},
    "parameters": {"D": 0.05, "c": 0.5},
}
BOTH = [
    {"name": "D", "initial_guess": 0.08, "bounds": [0.002, 1.0]},
    {"name": "c", "initial_guess": 0.4, "bounds": [-2.0, 2.0]},
]


def layout(cells, boundary="periodic", fields=("u",), dimensions=1):
    axes = ("x", "y")[:dimensions]
    grid = Grid(
        axes=axes, lower=(0.0,) * dimensions, size=(2 * math.pi,) * dimensions, resolution=(cells,) * dimensions
    )
    return Layout(grid, tuple(FieldSpec(name, boundary=boundary) for name in fields))


def calibrator(rate, noise=0.01, steps=12, assumed=None, learnable=BOTH, iterations=20, **changes):
    """Transport fitted to data of an equation with one more rate."""
    equation = build_equation(EQUATION | {"rates": {"u": TRANSPORT + rate}})
    data = generate(equation, GenerationConfig(simulations=3, steps=steps, length_scale=0.8), 3)
    split = {"train_sim": [0], "val_sim": [1], "test_sim": [2], "noise": noise}
    seen = observe(data, ObservationConfig.model_validate(split), 3)
    keys = {"method": "Levenberg-Marquardt", "num_predict_steps": steps, "suppress_convergence_errors": True}
    keys |= {"learnable_parameters": learnable, "equation": assumed or {"rates": {"u": TRANSPORT}}} | changes
    found = Calibrator(
        equation, seen, PhysicalConfig.model_validate(keys), num_predict_steps=steps, device=torch.device("cpu")
    )
    found.calibrate(iterations)
    return found


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_derivatives_of_terms_are_of_fourth_order_and_of_second_between_walls(boundary):
    """Against exact derivatives of a lopsided function."""
    errors = {}
    for cells in (32, 64):
        own = layout(cells, boundary)
        x = torch.from_numpy(own.grid.centers("x"))
        u = torch.exp(torch.sin(x + 0.3))[None, None]
        slope = torch.cos(x + 0.3) * u
        exact = {
            "dx(u)": slope,
            "u*dx(u)": u * slope,
            "laplace(u)": (torch.cos(x + 0.3) ** 2 - torch.sin(x + 0.3)) * u,
        }
        terms = {term.formula: term for term in library(own)}
        for formula, values in exact.items():
            wrong = (terms[formula].rate(u) - values).abs()
            errors.setdefault(formula, []).append(float(wrong[..., 2:-2].max()))
    for formula, (coarse, fine) in errors.items():
        assert math.log2(coarse / fine) > (3.7 if boundary == "periodic" else 1.8), formula


def test_added_terms_follow_their_equation():
    """Drag and diffusion beside each other on a periodic axis: the step is that of SciPy's integration of the cells."""
    own = layout(24)
    h = own.grid.spacing[0]
    terms = library(own)
    names = [term.formula for term in terms]
    c = torch.zeros(len(terms), dtype=torch.float64)
    c[names.index("u")], c[names.index("laplace(u)")], c[names.index("u^3")] = -0.3, 0.2, -0.5
    added = AddedTerms(terms, own, 0.1)
    added.set(c[None])
    x = own.grid.centers("x")
    start = 0.5 * np.exp(np.sin(x)) * np.cos(2 * x)

    def rate(_, u):
        second = 16 * (np.roll(u, 1) + np.roll(u, -1)) - np.roll(u, 2) - np.roll(u, -2) - 30 * u
        return -0.3 * u + 0.2 * second / (12 * h**2) - 0.5 * u**3

    exact = solve_ivp(rate, (0, 0.1), start, rtol=1e-10, atol=1e-12).y[:, -1]
    found = added(added.before(torch.from_numpy(start)[None, None]))[0, 0].numpy()
    assert np.abs(found - exact).max() < 1e-3 * np.abs(start - exact).max()
    # Coefficients of each state of a batch are their own.
    added.set(torch.stack([c, 0 * c]))
    both = added(added.before(torch.from_numpy(start).expand(2, 1, -1)))
    assert torch.equal(both[1, 0], torch.from_numpy(start))
    assert np.allclose(both[0, 0].numpy(), found)


def test_couplings_stay_in_their_field():
    own = layout(8, fields=("a", "b"))
    states = torch.rand(2, 2, 8, dtype=torch.float64)
    for term in library(own):
        added = term.rate(states)
        other = 1 - own.channels.index(term.field)
        assert added.shape == states.shape
        assert not bool(added[:, other].any()), term.formula
    formulas = {(term.field, term.formula) for term in library(own)}
    assert {("a", "b"), ("a", "a*b"), ("a", "(b - a)"), ("b", "a")} <= formulas


@pytest.mark.parametrize(
    ("rate", "named"),
    [
        (" - 0.1*u", {"u": -0.1}),
        pytest.param(" + 0.2", {"1": 0.2}, marks=pytest.mark.slow),
        pytest.param(" + 0.4*u*(1 - u**2)", {"u": 0.4, "u^3": -0.4}, marks=pytest.mark.slow),
    ],
)
def test_a_missing_term_is_named_and_the_parameters_are_right_beside_it(rate, named):
    found = calibrator(rate)
    alone = found.model.values
    judged = found.judge()
    assert judged.cause == "physics"
    assert judged.explained
    assert {t["formula"]: t["coefficient"] for t in judged.terms.terms} == pytest.approx(named, rel=0.05)
    for name, true in (("D", 0.05), ("c", 0.5)):
        lower, upper = judged.terms.parameters[name]["interval"]
        width = upper - lower
        assert lower - width < true < upper + width
        assert judged.terms.parameters[name]["identifiable"]
    if "u" in named:
        assert abs(alone["D"] / 0.05 - 1) > 4 * abs(judged.terms.parameters["D"]["estimate"] / 0.05 - 1)
    assert judged.terms.heldout[1] < 1.3 < judged.terms.heldout[0]
    again = Verdict.from_json(judged.to_json())
    assert again.terms == judged.terms
    assert float(judged.terms.coefficients(library(found.problem.data.observations.layout)).abs().max()) > 0


def test_a_term_is_found_beside_physics_that_explains_hardly_anything():
    """A growth that is most of what happens: it is far larger than all that diffusion, on its bound, has happen."""
    only = {"rates": {"u": "D*dx(dx(u))"}, "parameters": {"D": 0.05}}
    equation = build_equation(EQUATION | {"rates": {"u": "D*dx(dx(u)) + 0.8*u"}, "parameters": {"D": 0.05}})
    data = generate(equation, GenerationConfig(simulations=2, steps=12, length_scale=0.8), 3)
    seen = observe(data, ObservationConfig.model_validate({"train_sim": [0], "val_sim": [1], "noise": 0.01}), 3)
    keys = {"method": "Levenberg-Marquardt", "learnable_parameters": BOTH[:1]}
    config = PhysicalConfig.model_validate(keys)
    found = Calibrator(build_equation(EQUATION | only), seen, config, num_predict_steps=12, device=torch.device("cpu"))
    found.calibrate(20)
    judged = found.judge()
    assert {t["formula"]: t["coefficient"] for t in judged.terms.terms} == pytest.approx({"u": 0.8}, rel=0.02)
    lower, upper = judged.terms.parameters["D"]["interval"]
    assert lower - 0.002 < 0.05 < upper + 0.002


@pytest.mark.parametrize(
    ("rate", "named"),
    [
        ("0.5*(b - a)", {("a", "(b - a)"): 0.5, ("b", "(a - b)"): 0.5}),
        pytest.param("0.5*b", {("a", "b"): 0.5}, marks=pytest.mark.slow),
    ],
)
def test_an_exchange_of_two_fields_is_one_term_of_each(rate, named):
    fields, alone = {"a": {}, "b": {}}, {"a": "D*dx(dx(a)) - c*dx(a)", "b": "E*dx(dx(b))"}
    own = EQUATION | {"fields": fields, "rates": alone, "parameters": {"D": 0.05, "c": 0.5, "E": 0.02}}
    lacks = {"a": f"{alone['a']} + {rate}", "b": f"{alone['b']} + 0.5*(a - b)" if "-" in rate else alone["b"]}
    data = generate(build_equation(own | {"rates": lacks}), GenerationConfig(simulations=3, steps=12), 3)
    seen = observe(data, ObservationConfig.model_validate({"train_sim": [0, 1], "val_sim": [2], "noise": 0.01}), 3)
    learnable = [*BOTH, {"name": "E", "initial_guess": 0.05, "bounds": [0.002, 1.0]}]
    keys = {"method": "Levenberg-Marquardt", "suppress_convergence_errors": True, "learnable_parameters": learnable}
    config = PhysicalConfig.model_validate(keys)
    found = Calibrator(build_equation(own), seen, config, num_predict_steps=12, device=torch.device("cpu"))
    found.calibrate(20)
    terms = found.judge().terms.terms
    assert {(t["field"], t["formula"]): t["coefficient"] for t in terms} == pytest.approx(named, rel=0.05)


class Fits(TermSearch):
    """A search among fits whose costs and errors on held-out data are given by their terms."""

    outcomes: ClassVar = {"": (9e3, 9e3), "a": (900, 2e3), "b": (700, 3e3), "ac": (600, 2.5e3), "bc": (1, 1)}

    def __init__(self):
        self.problem = SimpleNamespace(data=SimpleNamespace(known_noise=False))
        self.sizes, self.terms = torch.ones(3, dtype=torch.float64), list("abc")

    def _fit(self, which):
        name = "".join(sorted("abc"[k] for k in which))
        estimate = SimpleNamespace(name=name, cost=self.outcomes[name][0], coordinates=None, coefficients=None)
        return SimpleNamespace(minimise=lambda *_: estimate)

    def _fitted(self, fit, here):
        return fit.minimise()

    def _heldout(self, fit, estimate):
        return self.outcomes[estimate.name][1]

    def _most_promising(self, taken, here):
        return {"": [0, 1], "a": [2], "b": [2]}.get(here.name, [])

    def _needed(self, best, taken):
        return 1.0

    def _described(self, taken, k, found, error):
        return {"terms": found.name}

    def _found(self, taken, begun, here, before, rounds):
        return [[one["terms"] for one in tried] for tried in rounds]


def test_of_two_terms_that_belong_together_the_first_may_predict_worse_than_another():
    """`b` alone predicts worse than `a` alone, and with `c` it is what is missing."""
    search = Fits()
    search._pruned = lambda taken, estimate: (taken, SimpleNamespace(name=estimate.name, coordinates=taken))
    rounds, taken = search.run(None)
    assert taken == [1, 2]
    assert rounds == [["a", "b"], ["ac", "bc"], []]


def test_right_physics_is_consistent_and_nothing_is_missing():
    judged = calibrator("").judge()
    assert judged.cause == "consistent"
    assert judged.terms is None


def test_physics_is_not_consistent_where_the_held_out_error_is_larger_than_the_noise():
    found = calibrator("")
    seen = found.problem.data.observations
    seen.values[seen.val] += seen.noise_std[0]
    judged = found.judge()
    assert judged.cause == "noise model"
    assert "held-out error" in judged.why


def test_only_an_optimum_on_data_is_judged():
    """Neither a search that was cut off nor a robust loss has a verdict."""
    assert calibrator("", iterations=1).judge() is None
    assert calibrator("", loss="huber").judge() is None


def test_an_equation_without_time_has_no_missing_rates(monkeypatch):
    found = calibrator("", iterations=1)
    monkeypatch.setattr(type(found.problem.forward.model.equation.config), "is_static", True)
    assert TermSearch.of(found.problem, found.model.coordinates) is None


def test_held_out_error_needs_initial_states_and_counts_channels_with_noise():
    found = calibrator("")
    seen, at = found.problem.data.observations, found.model.coordinates
    assert HeldOut(found.problem).of(at) == pytest.approx(1.0, abs=0.3)
    assert not HeldOut(found.problem).within_noise(1.5, found.problem.data.count(12) - 2)
    seen.initial_state = "full"  # as good a start as measured: errors compare, but have its noise too
    assert HeldOut(found.problem).within_noise(1.5, found.problem.data.count(12) - 2)
    seen.initial_state = "observed"
    assert not HeldOut(found.problem).available
    assert found.judge().cause == "consistent"


@pytest.mark.parametrize(
    ("chi_square", "known", "helpful"),
    [([65.0, 1.0], True, True), ([65.0, 1.0], False, True), ([2.0, 1.1], False, False), ([0.9, 0.95], True, False)],
)
def test_terms_help_that_take_most_of_what_is_beyond_the_noise(chi_square, known, helpful):
    assert FoundTerms([], {}, chi_square, None, False, [], known).helpful is helpful


def test_what_the_unknowns_say_themselves_is_no_candidate():
    """Near the fit D says what a diffusion would, and c what an advection would, but for the error of differences."""
    found = calibrator(" - 0.1*u")
    search = TermSearch.of(found.problem, found.model.coordinates)
    directions, gains = search.directions((), search.near(found.model.coordinates))
    gain = {term.formula: float(gain) for term, gain in zip(search.terms, gains, strict=True)}
    assert gain["dx(u)"] == gain["laplace(u)"] == 0.0
    assert gain["u"] == max(gain.values()) > 0
    assert not directions[:, [term.formula == "dx(u)" for term in search.terms]].any()


@pytest.mark.slow
def test_a_parameter_is_not_split_with_a_term_that_says_the_same():
    """An advection is what c is: it is not named beside it, whatever else is missing."""
    judged = calibrator(" + 0.3*exp(-4*(x - 3)**2)").judge()
    assert judged.cause == "physics"
    formulas = {t["formula"] for t in judged.terms.terms} if judged.terms else set()
    assert not formulas & {"dx(u)", "laplace(u)"}


def test_a_number_is_separable_only_where_nothing_is_lacking():
    told = {}
    for cause in ("consistent", "noise model", "grid", "physics"):
        numbers = {"D": NumberEstimate(0.05, identifiable=True)}
        (number,) = judged_numbers(numbers, Verdict(cause, "why"), corrected=False, searched=True).values()
        told[cause] = number.separable
    assert told == {"consistent": True, "noise model": None, "grid": False, "physics": False}


@pytest.mark.parametrize(("formula", "separable"), [("u", True), ("u[x.lower]", False), ("1[y.upper]", False)])
def test_a_number_beside_a_term_at_a_wall_is_not_separable(formula, separable):
    """Its cells stand for the wall's condition, whose error is in no interval."""
    term = {"field": "u", "formula": formula, "coefficient": 1.0, "std": 0.1, "words": formula}
    entry = NumberEstimate(0.05, identifiable=True).to_json()
    found = FoundTerms([term], {"D": entry}, [50.0, 1.0], None, consistent=True, tried=[], known_noise=True)
    judged = Verdict("physics", "why", found)
    numbers = judged_numbers({"D": NumberEstimate(0.03)}, judged, corrected=True, searched=True)
    assert (numbers["D"].value, numbers["D"].separable) == (0.05, separable)


def test_noise_larger_than_said_is_no_physics():
    """White residuals of three times the noise: its level is wrong."""
    found = calibrator("")
    found.problem.data.rescale(1 / 3)
    judged = found.judge()
    assert judged.cause == "noise model"
    assert "larger" in judged.why


def test_smooth_residuals_that_no_term_tells_are_physics_and_name_none():
    """A force that comes and goes with time, of which the library has nothing, and noise of which nothing was said."""
    found = calibrator(" + 0.8*cos(4*t)", steps=24)
    seen = found.problem.data.observations
    unknown = replace(seen, noise_std=torch.zeros_like(seen.noise_std))
    config = found.problem.forward.model.equation, unknown, found.config
    again = Calibrator(*config, num_predict_steps=24, device=torch.device("cpu"))
    again.calibrate(20)
    judged = again.judge()
    assert (judged.cause, judged.terms) == ("physics", None)
    assert "smooth in time and in space" in judged.why


@pytest.mark.slow
def test_correlated_noise_is_no_physics():
    """Noise of the size that was said whose value stays from one time to the next, on an equation that is right."""
    equation = build_equation(EQUATION)
    data = generate(equation, GenerationConfig(simulations=2, steps=24, length_scale=0.8), 3)
    split = {"train_sim": [0, 1], "test_sim": [], "noise": 0.01}
    seen = observe(data, ObservationConfig.model_validate(split), 3)
    white = torch.randn(seen.values.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    noise = [white[:, 0]]
    for t in range(1, white.shape[1]):
        noise.append(0.7 * noise[-1] + math.sqrt(1 - 0.7**2) * white[:, t])
    correlated = replace(seen, values=data.tensors["trajectories"] + seen.noise_std[0] * torch.stack(noise, dim=1))
    keys = {"method": "Levenberg-Marquardt", "num_predict_steps": 24, "learnable_parameters": BOTH}
    config = PhysicalConfig.model_validate(keys)
    why = []
    for measured in (correlated, replace(correlated, noise_std=torch.zeros_like(seen.noise_std))):
        found = Calibrator(equation, measured, config, num_predict_steps=24, device=torch.device("cpu"))
        found.calibrate(20)
        judged = found.judge()
        assert judged.cause == "noise model"
        assert "correlated" in judged.why
        why.append(judged.why)
    # Of a size that nobody said the user has to judge.
    assert "Such noise would be" not in why[0]
    assert 0.9 < float(why[1].partition("Such noise would be ")[2].partition(" % of the data's")[0]) < 1.1


@pytest.mark.slow
def test_a_coarse_grid_is_told():
    """Upwind differences of Burgers on a quarter of the data's cells."""
    section = {
        "name": "burgers",
        "scheme": "upwind",
        "domain": {"x": {"size": 8.0, "resolution": 64}},
        "dt": 0.05,
        "max_speed": 8.0,
        "parameters": {"viscosity": 0.05},
    }
    equation = build_equation(section)
    data = generate(equation, GenerationConfig(simulations=2, steps=12, length_scale=0.8), 1)
    seen = observe(data, ObservationConfig.model_validate({"train_sim": [0], "test_sim": [1], "noise": 0.005}), 1)
    keys = {
        "method": "Levenberg-Marquardt",
        "num_predict_steps": 12,
        "resolution": {"x": 16},
        "learnable_parameters": [{"name": "viscosity", "initial_guess": 0.1, "bounds": [0.002, 1.0]}],
    }
    config = PhysicalConfig.model_validate(keys)
    found = Calibrator(equation, seen, config, num_predict_steps=12, device=torch.device("cpu"))
    found.calibrate(20)
    judged = found.judge()
    assert judged.cause == "grid", judged.why


def test_what_a_report_says():
    terms = FoundTerms(
        [{"field": "u", "formula": "u", "coefficient": -0.1, "std": 0.01, "words": "a drag -0.1*u"}],
        {"D": {"estimate": 0.05, "std": 0.001, "interval": [0.048, 0.052], "identifiable": True}},
        [65.0, 0.98],
        [38.0, 1.02],
        True,
        [],
        True,
    )
    verdict = Verdict("physics", "why", terms).to_json()
    words = list(verdict_words(PhysicalEstimate({}, verdict=verdict)))
    assert words == [
        "a drag -0.1*u in the rate of u is missing: reduced χ² falls from 65 to 0.98, the held-out error from 38 to "
        "1.02; then D = 0.05."
    ]
    assert not list(verdict_words(PhysicalEstimate({}, verdict=Verdict("consistent", "white").to_json())))
    # Noise of unknown size has no χ²: the misfit is told beside what it was.
    unknown = replace(terms, chi_square=[2.5e5, 400.0], heldout=[1.6e6, 400.0], known_noise=False)
    (words,) = verdict_words(PhysicalEstimate({}, verdict=Verdict("physics", "why", unknown).to_json()))
    assert words == (
        "a drag -0.1*u in the rate of u is missing: residuals fall to 4 % of their size, errors on held-out data to "
        "1.6 %; then D = 0.05."
    )
    # An error that rises does not fall.
    assert replace(terms, heldout=[1.0, 2.0]).fall.endswith("to 0.98, the held-out error rises from 1 to 2")
    assert replace(unknown, heldout=[1.0, 1.7]).fall.endswith("of their size, errors on held-out data rise to 130 %")


def test_a_fit_that_begins_where_a_rollout_is_not_finite_stays_there():
    """It has no slope to follow: whoever compares its cost takes another."""
    found = calibrator("", steps=3)
    cubic = [term for term in library(found.problem.data.observations.layout) if term.formula == "u^3"]
    coordinates, coefficient = found.model.coordinates, torch.tensor([1e9], dtype=torch.float64)
    estimate = TermFit(found.problem, cubic, torch.ones(1, dtype=torch.float64)).minimise(coordinates, coefficient)
    assert not math.isfinite(estimate.cost)
    assert torch.equal(estimate.coordinates, coordinates)
    assert torch.equal(estimate.coefficients, coefficient)
