"""First guesses stand for `equation.parameters` of measurements: what is wrong is said of the keys written."""

import numpy as np
import pytest

from hyco.config import ConfigurationError, check, complete
from hyco.measurements.survey import Survey

FILE = "conf/rod/parameters.yml"


def experiment(learnt, **equation):
    return {
        "equation": {
            "name": "heat",
            "domain": {"x": {"size": 2.0, "resolution": 24}},
            "boundary": "neumann",
            "dt": 0.1,
            "max_diffusivity": 0.2,
            **equation,
        },
        "measurements": {"file": "rod.csv", "axes": {"x": "x"}, "fields": {"temperature": "T"}},
        "physical": {"learnable_parameters": [learnt], "method": "Levenberg-Marquardt"},
    }


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"name": "difusivity"}, "0.name: 'difusivity' is no parameter of heat; it has: diffusivity"),
        ({"initial_guess": 0.9, "bounds": [0.1, 1.0]}, "0.initial_guess: it leaves what is stable; allowed: 0 to 0.2"),
        ({"initial_guess": 0.9}, "0: initial_guess 0.9 lies outside bounds [0.001, 0.2]"),
        (
            {"initial_guess": -0.1, "bounds": [-0.5, 0.1]},
            "0.initial_guess: it leaves what is stable; allowed: 0 to 0.2",
        ),
    ],
)
def test_what_is_wrong_with_what_is_learnt_names_the_key_that_was_written(change, line, parameters):
    learnt = {"name": "diffusivity", "initial_guess": 0.1, "bounds": [0.001, 0.2], **change}
    lines = refused(experiment(learnt), parameters)
    assert lines[0].startswith(f"{FILE}: physical.learnable_parameters.{line}")
    assert not [other for other in lines if "equation" in other]


def test_a_value_that_was_written_keeps_its_key(parameters):
    learnt = {"name": "diffusivity", "initial_guess": 0.1, "bounds": [0.001, 0.2]}
    (line,) = refused(experiment(learnt, parameters={"diffusivity": 0.1, "difusivity": 0.1}), parameters)
    assert line.startswith(f"{FILE}: equation.parameters.difusivity: unknown key")


def refused(given, parameters):
    base = {key: value for key, value in parameters("heat").items() if key not in given and key != "generation"}
    sections = {**base, **given, "observation": {}, "synthetic": {}, "hybrid": {"epochs": 8}}
    filled = complete(sections, Survey(1, np.linspace(0.1, 1.0, 10), 0.0, 1.0))
    with pytest.raises(ConfigurationError) as caught:
        check(filled, {FILE: given})
    return str(caught.value).splitlines()
