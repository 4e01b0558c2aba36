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
