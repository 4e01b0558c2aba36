from hyco.equations.registry import equation_config
from hyco.equations.units import parameter_units

BURGERS = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 16}},
    "dt": 0.1,
    "parameters": {"viscosity": 0.1},
}


def test_units_are_those_of_the_equation_and_dimensionless_ones_are_left_out():
    assert parameter_units(equation_config(BURGERS)) == {"viscosity": "length²/time"}


def test_units_of_the_data_stand_for_length_and_time():
    assert parameter_units(equation_config(BURGERS), {"time": "h", "x": "mm"}) == {"viscosity": "mm²/h"}
    assert parameter_units(equation_config(BURGERS), {"x": "mm"}) == {"viscosity": "mm²/time"}


def test_parameters_of_formulas_have_the_units_of_their_places():
    section = {
        "name": "formula",
        "domain": {"x": {"size": 2.0, "resolution": 8}},
        "dt": 0.1,
        "rates": {"u1": "D*laplace(u1) + r*u1*(1 - u1/K) - c*dx(u1) - q*t**m - b*u1**2"},
        "parameters": {"D": 0.1, "r": 1.0, "K": 2.0, "c": 0.5, "q": 0.1, "m": 1.0, "b": 0.1},
    }
    config = equation_config(section)
    stated = {"D": "length²/time", "r": "1/time", "K": "u1", "c": "length/time", "b": "1/time/u1"}
    assert {name: parameter_units(config)[name] for name in stated} == stated
    assert "m" not in parameter_units(config)
    known = {"time": "s", "x": "mm", "u1": "g/l"}
    expected = {"D": "mm²/s", "r": "1/s", "K": "g/l", "c": "mm/s", "b": "1/s/(g/l)"}
    assert {name: parameter_units(config, known)[name] for name in stated} == expected
