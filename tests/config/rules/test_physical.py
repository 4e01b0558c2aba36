"""What the physical model may learn, and of which equation."""

from hyco.config import parse


def test_a_bound_that_excludes_its_guess_is_told_once(problems):
    wrong = [{"name": "viscosity", "initial_guess": 5.0, "bounds": [0.001, 0.1]}]
    (line,) = problems(physical={"learnable_parameters": wrong})
    assert "initial_guess 5.0 lies outside bounds [0.001, 0.1]" in line
    assert line.startswith("--params: physical.learnable_parameters.0: ")


def test_a_parameter_that_the_equation_does_not_have_is_refused(problems):
    wrong = [{"name": "viscosty", "initial_guess": 0.1, "bounds": [0.01, 1.0]}]
    (line,) = problems(physical={"learnable_parameters": wrong})
    assert "'viscosty' is no parameter of burgers; it has: viscosity" in line


def test_bounds_beyond_what_is_stable_are_refused(problems):
    wrong = [{"name": "viscosity", "initial_guess": 0.1, "bounds": [-0.5, 1.0]}]
    (line,) = problems(physical={"learnable_parameters": wrong})
    assert "[-0.5, 1.0] goes beyond what is stable; allowed: 0 to inf" in line


def test_what_the_physical_model_believes_is_checked_against_its_own_equation(problems):
    (line,) = problems(physical={"equation": {"max_spede": 2.0}})
    assert "physical.equation.max_spede: unknown key (value 2.0)" in line
    (line,) = problems(physical={"resolution": {"x": 100}})
    assert "physical.resolution: 100 cells along x do not divide the data's 128; allowed: 4, 8, 16" in line
    (line,) = problems(hybrid={"physical": {"equation": {"name": "gray_scot"}}})
    assert "hybrid.physical.equation: unknown equation 'gray_scot'; available: advection" in line
    other = {"name": "inviscid_burgers", "max_speed": 6.0, "parameters": {"potential": 0.0}}
    (line,) = problems(physical={"equation": other})
    assert "learnable_parameters.0.name: 'viscosity' is no parameter of inviscid_burgers; it has: potential" in line


def test_a_physical_model_may_have_another_equation_and_grid_than_the_data(parameters):
    changes = {"equation": {"parameters": {"convection": 0.9}}, "resolution": {"x": 32}}
    c = parse(parameters(physical=changes))
    assert c.hybrid.physical.resolution == {"x": 32}
    assert c.equation.grid.resolution == (128,)


FORMULA = {
    "equation": {
        "name": "formula",
        "domain": {"x": {"size": 10.0, "resolution": 128}},
        "dt": 0.05,
        "rates": {"u": "(D - s)*laplace(u) + q*u"},
        "parameters": {"D": 0.2, "s": 0.1, "q": 0.0},
        "substeps": 4,
        "stages": 4,
    }
}


def test_a_formula_is_checked_with_all_sections(parameters):
    learnt = [{"name": "D", "initial_guess": 0.3, "bounds": [0.2, 0.5]}]
    physical = {"learnable_parameters": learnt}
    parse(parameters(**FORMULA, physical=physical, hybrid={"physical": physical}))


def test_a_mistake_in_a_formula_is_told_with_its_key_and_place(problems):
    changes = {**FORMULA, "equation": {**FORMULA["equation"], "rates": {"u": "(D - s)*laplace(u) + q*w"}}}
    (line,) = problems(**changes)
    assert line.startswith("--params: equation: ")
    assert "rates.u: '(D - s)*laplace(u) + q*w', character 24: unknown name 'w'; allowed: u, D, s, q, x, t" in line


def test_bounds_for_which_a_formula_grows_without_end_are_refused(problems):
    wrong = {"learnable_parameters": [{"name": "D", "initial_guess": 0.3, "bounds": [0.05, 0.5]}]}
    (line,) = problems(**FORMULA, physical=wrong, hybrid={"physical": wrong})
    assert "physical.learnable_parameters: rates.u: " in line
    assert "unstable: the coefficient of ∂x^2 u is -0.05 at D = 0.05, s = 0.1" in line
