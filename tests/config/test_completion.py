"""What a configuration leaves open is filled in, and only that."""

import copy

import numpy as np
import pytest

from hyco.config import ConfigurationError, complete, parse
from hyco.measurements.survey import Survey

EQUATION = {"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "max_diffusivity": 0.1, "dt": "auto"}
LEARNT = [{"name": "diffusivity", "initial_guess": 0.02, "bounds": [0.001, 0.1]}]


def survey(*times, simulations=3):
    return Survey(simulations, np.array(times), 0.0, 1.0)


def measured(**changes):
    """The sections of an experiment that says as little as it may."""
    sections = {"equation": EQUATION, "measurements": {"file": "mine.csv"}, "generation": {}, "observation": {}}
    sections |= {"synthetic": {}, "hybrid": {}, "physical": {"learnable_parameters": LEARNT}}
    return sections | changes


@pytest.mark.parametrize(
    ("times", "dt", "steps"),
    [((0.25, 0.5, 7.5), 0.25, 30), ((1.0,), 0.05, 20), ((0.1, 0.2, 0.30000000000000004, 3.0), 0.1, 30)],
    ids=["a common divisor", "one time", "rounded"],
)
def test_the_step_follows_the_times(times, dt, steps):
    filled = complete(measured(), survey(*times))
    assert filled["equation"]["dt"] == pytest.approx(dt)
    assert filled["generation"] == {"simulations": 3, "steps": steps}


def test_a_given_step_stays():
    filled = complete(measured(equation=EQUATION | {"dt": 0.1}), survey(0.25, 1.0))
    assert (filled["equation"]["dt"], filled["generation"]["steps"]) == (0.1, 10)


def test_a_time_that_no_steps_get_to_names_the_file():
    with pytest.raises(ConfigurationError, match=r"mine\.csv: its last time, 1e\+160, is more than 1e\+07 steps"):
        complete(measured(equation=EQUATION | {"dt": 0.1}), survey(0.25, 1e160))


def test_what_is_learnt_may_be_left_out_of_the_equation():
    assert complete(measured(), survey(1.0))["equation"]["parameters"] == {"diffusivity": 0.02}
    given = EQUATION | {"parameters": {"diffusivity": 0.05}}
    assert complete(measured(equation=given), survey(1.0))["equation"]["parameters"] == {"diffusivity": 0.05}


def test_a_file_of_one_trajectory_is_trained_on():
    filled = complete(measured(), survey(0.1, 0.2))
    assert filled["observation"] == {"train_sim": [0]}
    assert filled["synthetic"]["network"] == {"name": "resnet"}
    assert complete(measured(observation={"train_sim": [1]}), survey(1.0))["observation"] == {"train_sim": [1]}


@pytest.mark.parametrize(
    ("network", "window"), [({"name": "resnet"}, 5), ({"name": "mlp"}, 8)], ids=["stepping", "coordinates"]
)
def test_rollouts_are_as_long_as_makes_sense(network, window):
    equation = EQUATION | {"dt": 0.1}
    sections = measured(equation=equation, synthetic={"network": network})
    filled = complete(sections, survey(*(0.1 * np.arange(1, 9))))
    assert filled["physical"]["num_predict_steps"] == filled["hybrid"]["observed_steps"] == 8
    assert filled["synthetic"]["num_predict_steps"] == filled["hybrid"]["num_predict_steps"] == window


def test_given_numbers_of_simulations_stay():
    sections = {"generation": {"steps": 9}, "equation": EQUATION | {"dt": 0.1}}
    sections |= {name: {"num_predict_steps": 3} for name in ("synthetic", "physical", "hybrid")}
    filled = complete(sections)
    assert all(filled[name] == {"num_predict_steps": 3} for name in ("synthetic", "physical", "hybrid"))
    assert filled["equation"]["dt"] == 0.1


@pytest.mark.parametrize(("given", "steps"), [({}, 5), ({"num_predict_steps": None}, 9)], ids=["left out", "null"])
def test_a_physical_model_of_simulations_is_fitted_to_five_steps_or_all(given, steps):
    sections = {"generation": {"steps": 9}, "equation": EQUATION | {"dt": 0.1}}
    filled = complete(sections | {"synthetic": {}, "physical": given, "hybrid": {}})
    assert filled["physical"] == {"num_predict_steps": steps}
    assert filled["synthetic"] == filled["hybrid"] == {"num_predict_steps": 5}


def test_a_variant_has_the_steps_that_its_network_would_have_in_an_experiment_of_its_own(parameters):
    overrides = {"synthetic": {"network": {"name": "mlp", "width": 8}}, "hybrid": {"interaction": {"count": 0}}}
    variants = {
        "known": {"method": "synthetic", "overrides": overrides},
        "given": {"method": "hybrid", "overrides": overrides | {"synthetic": {"num_predict_steps": 7}}},
        "none": {"method": "physical", "overrides": {"physical": {"epochs": 9}, "hybrid": {"num_predict_steps": None}}},
    }
    sections = parameters("burgers_1d", compare={"methods": ["synthetic"], "variants": variants})
    sections["generation"]["initial_state"] = {"velocity_x": "sin(x)"}
    for section in ("synthetic", "physical", "hybrid"):
        sections[section].pop("num_predict_steps", None)
    untouched = copy.deepcopy(sections)
    filled = complete(sections)
    assert sections == untouched
    steps = sections["generation"]["steps"]
    known, given, none = (filled["compare"]["variants"][name]["overrides"] for name in variants)
    assert known["synthetic"] == {"network": {"name": "mlp", "width": 8}, "num_predict_steps": steps}
    assert known["hybrid"] == {"interaction": {"count": 0}, "num_predict_steps": steps}
    assert (given["synthetic"], given["hybrid"]) == ({"num_predict_steps": 7}, {"interaction": {"count": 0}})
    assert none == {"physical": {"epochs": 9}, "hybrid": {"num_predict_steps": 5}}
    assert filled["synthetic"]["num_predict_steps"] == filled["hybrid"]["num_predict_steps"] == 5
    parse(filled)


def test_simulations_have_no_times_to_tell_the_step():
    with pytest.raises(ConfigurationError, match=r"equation\.dt: auto is for measurements"):
        complete({"equation": EQUATION, "generation": {"steps": 9}})


@pytest.mark.parametrize(
    "wrong",
    [
        {"compare": 3},
        {"compare": {"variants": {"a": 3, "b": {"overrides": {"hybrid": 2}}}}},
        {"physical": 3},
        {"equation": None},
        {"hybrid": []},
        {"observation": "no"},
    ],
)
def test_what_is_wrong_is_left_to_the_validation(wrong):
    (key,) = wrong
    filled = complete(measured(**wrong), survey(1.0))
    assert key not in ("physical", "hybrid") or filled[key] == wrong[key]


@pytest.mark.parametrize(("rounding", "steps"), [(1e-3, 124), (0.0, 125)], ids=["a rounded time", "a time of its own"])
def test_a_time_that_is_rounded_makes_no_step_of_its_own(rounding, steps):
    seen = Survey(1, np.array([0.1, 12.4 + 5e-4]), rounding, 1.0)
    filled = complete(measured(equation=EQUATION | {"dt": 0.1}), seen)
    assert filled["generation"]["steps"] == steps
