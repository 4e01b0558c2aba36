"""The script that others rely on runs as written, and has the numbers of the pipelines."""

import json
import logging
from pathlib import Path

import pytest
import torch
import yaml

import hyco
from hyco.config import resolve_hybrid
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.sections import merge
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_physical_model, final_synthetic_model
from hyco.training.physical import PhysicalConfig, train_physical
from hyco.training.synthetic import train_synthetic

CPU = torch.device("cpu")
BASE = Path(__file__).parents[2] / "conf" / "base"


def base(section):
    """A section of conf/base, which every experiment begins with."""
    return yaml.safe_load((BASE / f"parameters_{section}.yml").read_text(encoding="utf-8"))[section]


def last(steps):
    *_, (checkpoint, _) = steps
    return checkpoint


def assert_same_network(final, expected):
    assert final.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(value, expected.tensors[name]) for name, value in final.tensors.items())


@pytest.fixture
def without_log():
    """Another test of this process may have set a log up."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.usefixtures("without_log")
def test_the_script_runs_as_written(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    equation = hyco.equation(
        {
            "name": "burgers",
            "domain": {"x": {"size": 10.0, "resolution": 128}},
            "dt": 0.05,
            "parameters": {"viscosity": 0.1},
        }
    )
    trajectories = hyco.simulate(equation, simulations=6, steps=40, seed=0)
    observations = hyco.observe(
        trajectories, {"train_sim": [0, 1, 2, 3], "val_sim": [4], "test_sim": [5], "noise": 0.01}, seed=0
    )
    learn = [{"name": "viscosity", "initial_guess": 0.5, "bounds": [0.005, 1.0]}]
    physics = hyco.fit(equation, observations, learn, method="Levenberg-Marquardt")
    viscosity = physics.estimate["viscosity"]
    assert abs(viscosity.value - 0.1) < 4 * viscosity.std
    assert viscosity.interval[0] < viscosity.value < viscosity.interval[1]
    assert viscosity.identifiable
    network = hyco.train_network(observations, {"network": {"name": "resnet"}, "epochs": 3}, seed=0)
    assert capfd.readouterr().err == ""
    both = hyco.train_hybrid(equation, observations, learn, {"epochs": 7, "alpha": "auto"}, progress=True)
    assert [entry["epoch"] for entry in both.history] == list(range(1, 8))
    assert len(capfd.readouterr().err.splitlines()) == 7
    initial_states = trajectories.states[:, 0]
    states = both.network.rollout(initial_states, steps=50)
    assert states.shape == (6, 50, 1, 128)
    both.save("folder")
    again = hyco.load("folder")
    assert torch.equal(again.network.rollout(initial_states, steps=50), states)
    evaluation = hyco.evaluate([physics, network, again], trajectories, [5])
    assert evaluation.methods["physical"]["nrmse"]["mean"] < 0.01


def test_a_fit_has_the_numbers_of_the_pipeline(door, physics):
    section = {"learnable_parameters": door.learn, "method": "Levenberg-Marquardt", "num_predict_steps": 8}
    steps = train_physical(
        door.equation,
        door.observations,
        PhysicalConfig.model_validate(merge(base("physical"), section)),
        configuration={"equation": door.equation.config.model_dump()},
        device=CPU,
    )
    expected = final_physical_model(last(steps))
    same = ("parameters", "covariance", "identifiability", "reduced_chi_square", "residuals", "evaluations")
    assert {key: physics.final[key] for key in same} == {key: expected[key] for key in same}


def test_a_network_has_the_weights_of_the_pipeline(door, network):
    config = SyntheticConfig.model_validate(merge(base("synthetic"), door.network_section) | {"epochs": 3})
    steps = train_synthetic(door.observations, config, 0, configuration={}, device=CPU)
    assert_same_network(network.final, final_synthetic_model(last(steps)))


@pytest.mark.parametrize("as_model", [False, True])
def test_a_hybrid_has_the_numbers_of_the_pipeline(door, both, as_model):
    physical = merge(base("physical"), {"learnable_parameters": door.learn})
    section = merge(base("hybrid"), door.hybrid_section)
    config = HybridConfig.model_validate(resolve_hybrid(section, base("synthetic"), physical))
    if as_model:
        both = hyco.train_hybrid(door.equation, door.observations, door.learn, config)
    trainer = HybridTrainer(
        door.equation,
        door.observations,
        config,
        0,
        configuration={"equation": door.equation.config.model_dump()},
        device=CPU,
    )
    records = list(trainer.train())
    checkpoint = records[-1][0]
    assert both.history == [{"epoch": record["epoch"], **record["metrics"]} for _, record in records]
    assert_same_network(both.network.final, final_synthetic_model(checkpoint))
    assert both.physics.final["parameters"] == final_physical_model(checkpoint)["parameters"]


def test_the_same_seed_gives_the_same_bits_and_another_one_others(door, network):
    assert_same_network(door.train_network(seed=0).final, network.final)
    other = door.train_network(seed=1).final
    assert any(not torch.equal(value, network.final.tensors[name]) for name, value in other.tensors.items())
    again = hyco.simulate(door.equation, simulations=4, steps=8, length_scale=0.8)
    assert torch.equal(again.states, door.trajectories.states)


def test_a_fit_uses_all_that_was_measured_and_no_step_beyond(door):
    section = {"train_sim": [0, 1], "noise": 0.01, "time": {"mode": "custom", "indices": [0, 2, 5]}}
    observations = hyco.observe(door.trajectories, section)
    physics = hyco.fit(door.equation, observations, door.learn, method="Levenberg-Marquardt")
    assert len(physics.final["residuals"]["time"]) == 1 + 5


def test_what_did_not_converge_is_an_error_with_the_best_values(door):
    with pytest.raises(hyco.NotConverged, match=r"physical\.epochs") as raised:
        door.fit(method="L-BFGS-B", epochs=1)
    assert raised.value.parameters["viscosity"] != 0.5
    assert door.fit(method="L-BFGS-B", epochs=1, suppress_convergence_errors=True).estimate["viscosity"].value != 0.5


def test_simulations_serve_the_pipelines_and_come_back_from_them(door):
    bundle = door.trajectories.to_bundle()
    json.dumps(bundle.metadata)
    again = hyco.Trajectories.from_bundle(bundle)
    assert torch.equal(again.states, door.trajectories.states)
    assert again.equation.config == door.equation.config
    assert again.origin == door.trajectories.origin


def test_the_evaluation_says_what_the_report_says(door, physics, network, both):
    evaluation = hyco.evaluate([network, physics, both], door.trajectories, [3])
    methods = ["persistence", "synthetic", "physical", "hybrid_synthetic", "hybrid_physical"]
    assert list(evaluation.methods) == methods
    assert set(evaluation.rollouts) == {"truth", *methods}
    entry = evaluation.methods["physical"]["parameters"]["viscosity"]
    assert (entry["true"], entry["estimate"]) == (0.1, physics.estimate["viscosity"].value)
    assert list(evaluation.table["method"]) == methods
    predicted = network.rollout(door.starts[3:], 8)
    assert torch.equal(evaluation.rollouts["synthetic"], predicted)


def test_of_states_from_elsewhere_no_true_coefficient_is_known(door, physics):
    measured = hyco.Trajectories(door.trajectories.states.numpy(), door.equation)
    evaluation = hyco.evaluate(physics, measured, [3])
    assert evaluation.methods["physical"]["parameters"]["viscosity"]["true"] is None


def test_results_draw_themselves(door, physics, network, both):
    evaluation = hyco.evaluate([physics, both], door.trajectories, [3])
    figures = [
        network.plot_history(),
        both.plot_history(),
        both.physics.plot_estimates(door.equation.parameters),
        physics.plot_estimates(),
        evaluation.plot_errors(),
        evaluation.plot_predictions(),
    ]
    assert all(figure.axes for figure in figures)


def test_results_show_themselves_in_a_line(door, physics, network, both):
    assert repr(physics).startswith("FittedPhysics(burgers: viscosity = 0.1")
    assert repr(network) == f"TrainedNetwork(resnet: {network.model.weight_count} weights, of epoch 3)"
    assert repr(door.trajectories) == "Trajectories(4 of burgers: 8 steps of 0.05, velocity_x on 32 cells)"
    assert repr(hyco.evaluate(both, door.trajectories, [3])).startswith("Evaluation(nrmse: persistence 0.")
