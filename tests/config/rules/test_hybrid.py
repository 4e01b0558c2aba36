"""Epochs, updates and stopping of a hybrid."""

import pytest

from hyco.config import ConfigurationError, parse
from hyco.sections import merge


def test_early_stopping_is_a_key_of_networks_and_needs_validation(parameters, problems):
    (line,) = problems(physical={"early_stopping": 3})
    assert "physical.early_stopping: unknown key" in line
    found = problems(observation={"val_sim": []}, hybrid={"early_stopping": 3}, synthetic={"early_stopping": 3})
    assert [line.split(": ")[1] for line in found] == ["synthetic.early_stopping", "hybrid.early_stopping"]
    assert all("needs validation simulations" in line for line in found)
    assert parse(parameters(hybrid={"early_stopping": 3})).hybrid.synthetic.early_stopping == 3


def test_a_weight_to_be_chosen_needs_an_update_of_the_physical_model(parameters):
    changes = {
        "physical": {
            "learnable_parameters": [
                {"name": "forcing", "kind": "field", "initial_guess": 0.0},
                {"name": "viscosity", "initial_guess": 0.1, "bounds": [0.01, 0.2]},
            ]
        },
        "hybrid": {"epochs": 20, "warmup_epochs": 10, "interleave_frequency": 11},
    }
    changes["physical"]["learnable_parameters"][0]["regularisation"] = {"weight": "discrepancy"}
    with pytest.raises(ConfigurationError, match=r"hybrid\.epochs: 20 leaves .* of forcing .* viscosity .* = 21, or"):
        parse(merge(parameters("navier_stokes"), changes))
    changes["hybrid"]["interleave_frequency"] = 10
    parse(merge(parameters("navier_stokes"), changes))
