"""Simulations of another configuration are refused."""

import json

import pytest

from hyco.config import ConfigurationError, check_origin


def test_an_evaluation_of_other_simulations_is_refused_and_of_the_users_own_is_not():
    made = {"equation": {"dt": 0.1, "domain": {1: 2}}, "generation": {"steps": 4}, "seed": 0}
    stored = {"origin": json.loads(json.dumps(made))}
    check_origin(stored, made)
    check_origin({"origin": made}, made)
    check_origin({"layout": {}}, made)
    with pytest.raises(ConfigurationError, match=r"\(equation\.dt: 0\.1 there, 0\.2 now; seed: 0 there, 5 now\)"):
        check_origin(stored, {**made, "equation": {**made["equation"], "dt": 0.2}, "seed": 5})


def test_simulations_may_be_evaluated_with_a_default_that_is_written_out(parameters):
    made = {name: parameters()[name] for name in ("equation", "generation", "seed")}
    given = {
        "equation": {**made["equation"], "boundary": "periodic", "dt": str(made["equation"]["dt"])},
        "generation": {"length_scale": 1.0, "amplitude": 1.0, "initial_state": {}, **made["generation"]},
    }
    check_origin({"origin": made}, {**made, **given})
    check_origin({"origin": {**made, **given}}, made)
    given["generation"]["amplitude"] = 2.0
    with pytest.raises(ConfigurationError, match=r"\(generation\.amplitude: [0-9.]+ there, 2\.0 now\)"):
        check_origin({"origin": made}, {**made, **given})
