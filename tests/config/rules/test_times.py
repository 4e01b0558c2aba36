"""Formulas that depend on t are judged over the times that an experiment has."""

import pytest

import hyco
from hyco.config import parse

DOMAIN = {"x": {"size": 10.0, "resolution": 16}}
EQUATION = {"name": "formula", "domain": DOMAIN, "dt": 0.1, "rates": {"u": "D*laplace(u)"}, "parameters": {"D": 0.2}}


def of(rates="D*laplace(u)", steps=40, predict=0, bounds=(0.1, 0.5), **keys):
    """An experiment of so many steps of 0.1, and as many more to predict."""
    learnt = {"learnable_parameters": [{"name": "D", "initial_guess": 0.3, "bounds": list(bounds)}]}
    keys = {"equation": {**EQUATION, "rates": {"u": rates}, **keys}, "physical": learnt, "hybrid": {"physical": learnt}}
    return {**keys, "generation": {"steps": steps}, "predict": {"steps": predict} if predict else {}}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        # t = 5 is step 50.
        (of("D*laplace(u) + 1/(5 - t)", 200), "rates.u: 'D*laplace(u) + 1/(5 - t)', character 17: a division by 5 - t"),
        (of("D*laplace(u) + sqrt(5 - t)", 200), "character 16: the power sqrt(5 - t) of 5 - t, which may be negative"),
        (of("D*laplace(u) + tan(t/4)", 200), "the tangent of t/4, which is infinite between two of its values"),
        (of("D*(1 - t/20)*laplace(u)", 201), "unstable: the coefficient of ∂x^2 u is "),
        (of("D*laplace(u) + log(5 - t)", 40, 15), "character 16: the logarithm of 5 - t, which is not always above 0"),
        (of(boundary="1/(5 - t)", steps=200), "equation.boundary: '1/(5 - t)', character 2: a division by 5 - t"),
        (of(boundary={"flux": "log(5 - t)"}, steps=200), "equation.boundary: 'log(5 - t)', character 1: the logarithm"),
        (of("D*laplace(u)/(D + 0.05 - t/40)", bounds=(0.01, 0.5)), "which may be 0"),
    ],
)
def test_what_has_no_value_at_a_time_of_the_experiment_is_told_before_anything_runs(problems, changes, line):
    (found,) = problems(**changes)
    assert line in found
    assert "(t from 0 to " in found


@pytest.mark.parametrize(
    "changes",
    [
        of("D*laplace(u) + 1/(5 - t)", 40),
        of("D*laplace(u) + log(5 - t)", 40, 5),
        of("D*laplace(u) + tan(t/4)", 40),
        of("D*(1 - t/20)*laplace(u)", 199),
        of(boundary="1/(5 - t)", steps=40),
    ],
)
def test_what_has_none_only_later_is_good(parameters, changes):
    assert parse(parameters(**changes)).equation.dt == 0.1


def test_walls_and_sources_of_other_equations_are_judged_too(problems):
    heat = {"name": "heat", "domain": DOMAIN, "dt": 0.1, "parameters": {"diffusivity": 0.2}}
    learnt = {"learnable_parameters": [{"name": "diffusivity", "initial_guess": 0.3, "bounds": [0.1, 0.5]}]}
    rest = {"physical": learnt, "hybrid": {"physical": learnt}, "generation": {"steps": 200}}
    (wall,) = problems(equation={**heat, "boundary": {"x": {"lower": "1/(5 - t)", "upper": 0.0}}}, **rest)
    assert "equation.boundary: '1/(5 - t)', character 2: a division by 5 - t, which may be 0" in wall
    (source,) = problems(equation={**heat, "source": "sqrt(5 - t)"}, **rest)
    assert "equation.source: 'sqrt(5 - t)', character 1: the power sqrt(5 - t) of 5 - t" in source


def test_a_simulation_in_python_is_judged_over_its_steps():
    equation = hyco.equation({**EQUATION, "rates": {"u": "D*laplace(u) + 1/(5 - t)"}})
    assert bool(hyco.simulate(equation, simulations=1, steps=40).states.isfinite().all())
    with pytest.raises(ValueError, match=r"a division by 5 - t, which may be 0 \(t from 0 to 20\)"):
        hyco.simulate(equation, simulations=1, steps=200)
