"""Sources and parameters of their own: what is accepted, what is refused, and how the step keeps stable."""

import math

import pytest
import torch

from hyco.config import ConfigurationError, parse
from hyco.equations.ranges import covering, with_ranges
from hyco.equations.registry import build_equation
from hyco.sections import merge
from hyco.stepping.generation import simulate

HEAT = {"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 16}}, "dt": 0.1, "parameters": {"diffusivity": 0.1}}
INLET = {"boundary": {"x": {"lower": "inlet*cos(t)", "upper": "neumann"}}}


def heat(**changes):
    return build_equation(merge(HEAT, changes))


def test_a_parameter_that_only_a_wall_names_is_one_of_the_equation():
    equation = heat(**INLET, parameters={"inlet": 2})
    assert equation.parameters == {"diffusivity": 0.1, "inlet": 2.0}
    assert equation.config.limits["inlet"] == (-math.inf, math.inf)
    assert equation.config.wall_names == {"inlet", "t"}
    assert (equation.autonomous, heat(boundary=0.0).autonomous) == (False, True)
    assert build_equation(equation.config.model_dump()).parameters == equation.parameters


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"parameters": {"inlet": 2}}, r"equation\.parameters\.inlet: unknown key \(value 2\.0\)"),
        (
            INLET | {"parameters": {"inlet": "hot"}},
            r"equation\.parameters\.inlet: 'hot': input should be a valid number",
        ),
        (INLET | {"parameters": {"inlet": 1, "outlet": 2}}, r"equation\.parameters\.outlet: unknown key"),
        (INLET | {"parameters": {"inlet": 1, "t": 2}}, r"equation\.parameters\.t: unknown key"),
        (INLET, r"boundary\.x\.lower 'inlet\*cos\(t\)': unknown name inlet"),
        (
            {"boundary": {"robin": {"a": 1, "b": "diffusivity", "c": 0}}, "parameters": {"diffusivity": "1 + x"}},
            "boundary: diffusivity varies in space, which no parameter in a wall may do",
        ),
        ({"source": "r*u"}, r"source 'r\*u': unknown name r; allowed: t, x, diffusivity, u, temperature"),
        ({"source": "exp("}, r"equation\.source: 'exp\(' is not a formula"),
        ({"source": "u", "parameters": {"u": 1}}, "u is the field, and cannot be a parameter too"),
    ],
)
def test_wrong_names_are_told_in_one_line(complete, changes, line):
    sections = complete(equation=merge(HEAT, changes), physical={"learnable_parameters": []})
    with pytest.raises(ConfigurationError, match=line):
        parse(sections)


def test_a_parameter_in_a_wall_is_not_learnt_as_a_field(complete):
    cooled = HEAT | {"boundary": {"robin": {"a": 1, "b": "diffusivity", "c": 0}}}
    learn = [{"name": "diffusivity", "kind": "fourier", "modes": 1, "offset": 0.1}]
    with pytest.raises(ConfigurationError, match="'diffusivity' stands in a wall; it can be learnt as a number"):
        parse(complete(equation=cooled, physical={"learnable_parameters": learn}))


@pytest.mark.parametrize("name", ["heat", "advection_diffusion"])
def test_a_stiff_reaction_is_stable_and_right(name):
    """∂u/∂t = -r u with r dt = 4: u = exp(-r t)."""
    flow = {"velocity_x": 0.0} if name == "advection_diffusion" else {}
    section = HEAT | {"name": name, "boundary": "neumann", "dt": 1.0, "source": "-r*u"}
    open_ = build_equation(section | {"parameters": {"diffusivity": 1e-3, "r": 4.0} | flow})
    equation = covering(open_, 1.0, {"r": (1.0, 12.0)})
    assert equation.config.max_reaction == pytest.approx(12)
    assert equation.substeps >= 12
    states = simulate(equation, torch.ones(1, 1, 16, dtype=torch.float64), 2)[0, 1:, 0, 0]
    assert states.tolist() == pytest.approx([math.exp(-4), math.exp(-8)], rel=0.15)


def test_reactions_are_estimated_over_states_bounds_and_time():
    section = HEAT | {"source": "r*u*(1 - u/K)*(1 + t)", "parameters": {"diffusivity": 0.1, "r": 1.0, "K": 2.0}}
    numbers = with_ranges(section, largest=1.0, bounds={"r": (0.5, 3.0)})
    # At u = -2, r = 3 and t = 200 dt: 3 × (1 + 2 × 2/2) × 21.
    assert numbers["max_reaction"] == pytest.approx(3 * 3 * 21)
    assert "max_reaction" not in build_equation(HEAT | {"source": "x*t"}).config.open_ranges
    assert with_ranges(section | {"max_reaction": 5.0}, largest=1.0, bounds={})["max_reaction"] == 5.0


def test_logistic_growth_follows_its_exact_solution():
    section = HEAT | {"source": "r*temperature*(1 - u/K)", "boundary": "neumann", "dt": 0.05}
    equation = covering(build_equation(section | {"parameters": {"diffusivity": 0.1, "r": 3.0, "K": 2.0}}), 0.5, {})
    end = simulate(equation, torch.full((1, 1, 16), 0.1, dtype=torch.float64), 20)[0, -1]
    exact = 2 / (1 + 19 * math.exp(-3))
    assert torch.allclose(end, torch.full_like(end, exact), rtol=3e-3)
