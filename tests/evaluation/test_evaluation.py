"""The report: what it says, that it keeps its contract, and what it refuses."""

import math
from types import SimpleNamespace

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.evaluation import evaluated_models, field_error, roll_out_methods
from hyco.inversion.estimate import NumberEstimate, Outcome, PhysicalEstimate
from hyco.networks.synthetic import SyntheticModel
from hyco.report import report, table
from hyco.report.report import NotFiniteError
from hyco.stepping.generation import GenerationConfig, generate

EQUATION = build_equation(
    {
        "name": "burgers",
        "domain": {"x": {"size": 3.0, "resolution": 16}, "y": {"size": 2.0, "resolution": 12}},
        "dt": 0.05,
        "max_speed": 6.0,
        "parameters": {"viscosity": 0.1},
    }
)
DATA = generate(EQUATION, GenerationConfig(simulations=3, steps=4, length_scale=0.5), seed=0)
TRUE = {key: {"viscosity": 0.1} for key in ("physical", "hybrid_physical")}
TRAINING = {
    "training": "hybrid",
    "epochs": 2,
    "wall_seconds": 3.0,
    "seconds": {"physical": 1.0, "synthetic": 2.0, "conversion": 0.5},
    "peak_rss_bytes": 10,
}


def physical(value, *, outcome=True, std=0.01, interval=None, pull=None, **changes):
    """A final physical model, as its file has it."""
    estimate = PhysicalEstimate(
        {"viscosity": NumberEstimate(value, std, interval, identifiable=True, pull=pull)},
        values={"viscosity": value},
        reduced_chi_square=changes.pop("reduced_chi_square", 1.0),
        identifiability={"undetermined": []},
        outcome=Outcome("converged", "done") if outcome else None,
        **changes,
    )
    return {**estimate.to_json(), "training": TRAINING}


def synthetic():
    one = torch.ones(2)
    model = SyntheticModel.create(
        {"name": "unet", "filters": 2, "levels": 1}, EQUATION.layout, mean=0 * one, std=one, change_std=one, seed=0
    )
    bundle = model.to_bundle()
    bundle.metadata["training"] = TRAINING
    return bundle


def test_after_a_compiled_training_nothing_is_compiled_for_a_rollout(monkeypatch):
    monkeypatch.setattr(torch, "compile", None)
    states = DATA.tensors["trajectories"]
    found = [
        roll_out_methods(states, [2], EQUATION, evaluated({"physical": physical(0.2, execution=execution)}))["physical"]
        for execution in ("compiled", "traced")
    ]
    assert torch.equal(*found)


def evaluated(models):
    return evaluated_models(models, EQUATION)


def rollouts(models):
    return roll_out_methods(DATA.tensors["trajectories"], [2, 1], EQUATION, evaluated(models))


def reported(models, states=None, seed=0):
    rolled = rollouts(models) if states is None else states
    return report("e", seed, EQUATION, "burgers", rolled, evaluated(models), TRUE)


def test_the_true_physics_has_no_error_and_an_untrained_network_is_persistence():
    models = {"hybrid_synthetic": synthetic(), "hybrid_physical": physical(0.1)}
    found = reported(models, seed=3)
    assert (found["experiment"], found["seed"], found["equation"]) == ("e", 3, "burgers")
    methods = found["methods"]
    assert list(methods) == ["persistence", "hybrid_synthetic", "hybrid_physical"]
    assert methods["hybrid_physical"]["nrmse"]["mean"] < 1e-13
    assert methods["hybrid_synthetic"]["nrmse"]["mean"] == pytest.approx(
        methods["persistence"]["nrmse"]["mean"], rel=1e-5
    )
    assert len(methods["persistence"]["nrmse"]["per_step"]) == 4
    assert "training_seconds" not in methods["persistence"]
    assert found["cost"] == {
        "wall_seconds": 3.0,
        "conversion_seconds": 0.5,
        "physical_seconds": 1.0,
        "synthetic_seconds": 2.0,
        "peak_rss_bytes": 10,
    }


def test_parameters_come_with_truth_estimate_std_and_error():
    models = {"physical": physical(0.12)}
    found = reported(models)["methods"]["physical"]["parameters"]
    assert found["viscosity"] == {
        "true": 0.1,
        "estimate": 0.12,
        "std": 0.01,
        "interval": None,
        "identifiable": True,
        "pull": None,
        "discretisation": None,
        "std_white": None,
        "relative_error": pytest.approx(0.2),
    }


def test_a_number_without_a_standard_deviation_is_refused_with_the_reason():
    models = {"hybrid_physical": physical(0.1, std=None)}
    with pytest.raises(ValueError, match="viscosity has no standard deviation: the weight of a regularisation is"):
        reported(models)


def test_a_number_whose_noise_nothing_tells_has_null_for_its_standard_deviation(caplog):
    models = {"physical": physical(0.1, std=None, degrees_of_freedom=0.0)}
    entry = reported(models)["methods"]["physical"]
    assert entry["parameters"]["viscosity"]["std"] is None
    assert entry["degrees_of_freedom"] == 0.0
    assert "physical: there are as many unknowns as measurements" in caplog.text


def test_residuals_above_the_noise_are_warned_of(caplog):
    models = {"hybrid_physical": physical(0.12, reduced_chi_square=4.0)}
    found = reported(models)
    assert found["methods"]["hybrid_physical"]["reduced_chi_square"] == 4.0
    assert "hybrid_physical leaves residuals of 2 times the noise" in caplog.text


@pytest.mark.parametrize(
    ("pulled", "why"), [(True, "network's predictions pull it"), (False, "ended on its way there")]
)
def test_a_pull_is_warned_of_with_what_causes_it(pulled, why, caplog):
    models = {"hybrid_physical": physical(0.12, pull=3.0, from_predictions=pulled)}
    reported(models)
    assert "viscosity is 3 standard deviations from where the measurements alone put it" in caplog.text
    assert why in caplog.text


@pytest.mark.parametrize("interval", [(0.05, 0.2), None])
def test_a_pull_is_warned_of_and_only_an_interval_said_to_cover_it(caplog, interval):
    models = {"hybrid_physical": physical(0.12, pull=3.0, interval=interval)}
    reported(models)
    assert "viscosity is 3 standard deviations from where the measurements alone put it" in caplog.text
    assert ("its interval does" in caplog.text) == (interval is not None)


def test_a_first_guess_is_called_so_and_not_laid_to_the_network(caplog):
    models = {"hybrid_physical": physical(0.5, outcome=False, pull=300.0, reduced_chi_square=180.0)}
    reported(models)
    assert "hybrid_physical is the first guess: the physical model had no update" in caplog.text
    assert "network" not in caplog.text


def test_the_table_has_a_row_for_each_method_and_parameter():
    models = {"physical": physical(0.12), "synthetic": synthetic()}
    rows = table(reported(models))
    assert rows["method"].tolist() == ["persistence", "synthetic", "physical"]
    assert rows["estimate"].tolist()[-1] == 0.12
    assert math.isnan(rows["true"].tolist()[0])


def test_a_rollout_that_is_not_finite_is_an_error_and_not_a_number():
    models = {"synthetic": synthetic()}
    broken = rollouts(models)
    broken["synthetic"][0, 2] = torch.inf
    with pytest.raises(NotFiniteError, match="the test rollout of synthetic is not finite: train longer"):
        reported(models, broken)


def test_a_rollout_whose_error_overflows_is_an_error_and_not_a_number():
    models = {"physical": physical(0.1)}
    huge = rollouts(models)
    huge["physical"] = huge["physical"] * 1e200
    with pytest.raises(NotFiniteError, match=r"of physical is so large that its error is not finite: .* fields may be"):
        reported(models, huge)


def test_without_a_test_simulation_there_is_nothing_to_evaluate():
    with pytest.raises(ValueError, match="run the tag `train` alone"):
        roll_out_methods(DATA.tensors["trajectories"], [], EQUATION, {})


def test_initial_states_of_other_simulations_than_those_tested_are_refused():
    states = DATA.tensors["trajectories"]
    with pytest.raises(ValueError, match=r"one state for each of observation.test_sim = \[2\].*got \[3, 2, 16, 12\]"):
        roll_out_methods(states, [2], EQUATION, {}, states[:, 0])


@pytest.mark.parametrize(
    ("true", "differences_only", "expected"),
    [
        (torch.tensor([2.0, 2.0]), False, 0.25),
        (torch.zeros(2), False, 0.5),
        (0.3, True, 0.0),
    ],
    ids=["relative", "zero", "constant of which only differences count"],
)
def test_the_error_of_a_field_is_relative_where_the_truth_is_not_zero(true, differences_only, expected):
    equation = SimpleNamespace(parameters={"f": true}, up_to_a_constant={"f"} if differences_only else set())
    estimate = torch.as_tensor(true, dtype=torch.float64).expand(2) + 0.5
    assert field_error(equation, "f", estimate) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("source", ["distribution", "trajectories"])
def test_prior_knowledge_of_initial_states_is_in_the_report_and_warned_of_once(caplog, source):
    interaction = {"count": 4, "source": source, "prior_knowledge": source == "distribution"}
    if source == "distribution":
        interaction |= {"length_scale": 0.5, "amplitude": 1.0}
    alpha = {"rule": "auto", "synthetic": 0.5, "physical": 1.0}
    told = {"alpha": alpha, "interaction": interaction, "sequential": False}
    models = {"hybrid_synthetic": synthetic(), "hybrid_physical": physical(0.1) | {"hybrid": told}}
    models["physical"] = physical(0.1)
    models["hybrid_synthetic"].metadata["hybrid"] = told
    found = reported(models)
    for method in ("hybrid_synthetic", "hybrid_physical"):
        assert found["methods"][method]["interaction"] == interaction
        assert found["methods"][method]["alpha"] == alpha
    assert "interaction" not in found["methods"]["physical"]
    assert caplog.text.count("knowledge beyond the observations") == (source == "distribution")


def test_what_is_beyond_the_walls_of_a_staggered_grid_need_not_be_measured():
    equation = build_equation(
        {
            "name": "smoke",
            "domain": {"x": {"size": 1.0, "resolution": 6}, "y": {"size": 1.0, "resolution": 5}},
            "boundary": {"x": "closed", "y": "closed"},
            "dt": 0.1,
            "max_speed": 1.0,
            "parameters": {"buoyancy": 0.5, "inflow_rate": 0.0, "viscosity": 0.001, "diffusivity": 0.001},
        }
    )
    valid = equation.layout.valid
    assert not bool(valid.all())
    states = torch.where(valid, torch.ones(1, 3, *valid.shape, dtype=torch.float64), torch.nan)
    found = roll_out_methods(states, [0], equation, {})
    assert bool(torch.isfinite(found["persistence"]).all())
    states[:, 0][:, valid] = torch.nan
    with pytest.raises(ValueError, match="not measured in every cell"):
        roll_out_methods(states, [0], equation, {})
