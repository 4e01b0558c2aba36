"""Arguments that cannot be meant are refused with one line that names them."""

import json
import shutil

import numpy as np
import pytest

import hyco
from hyco.runtime.storage import Bundle

STATES = {"domain": {"x": {"size": 4.0, "resolution": 16}}, "dt": 0.1}
SEEDS = (-1, 1.5, "x", None, True)


@pytest.mark.parametrize("wrong", [None, {"name": "burgers"}])
def test_an_equation_that_is_none_is_refused_by_name(door, wrong):
    calls = (
        lambda: hyco.simulate(wrong, simulations=1, steps=2),
        lambda: hyco.Trajectories(np.zeros((1, 3, 1, 32)), wrong),
        lambda: hyco.fit(wrong, door.observations, door.learn),
        lambda: hyco.train_hybrid(wrong, door.observations, door.learn),
    )
    for call in calls:
        with pytest.raises(TypeError, match=r"^equation: expected a hyco\.Equation from hyco\.equation, got "):
            call()


def test_trajectories_are_no_observations_and_states_no_trajectories(door, physics):
    for call in (
        lambda: hyco.fit(door.equation, door.trajectories, door.learn),
        lambda: hyco.train_network(door.trajectories),
        lambda: hyco.train_hybrid(door.equation, door.trajectories, door.learn),
        lambda: hyco.evaluate(physics, door.trajectories, [3], observations=door.trajectories),
    ):
        with pytest.raises(TypeError, match=r"^observations: expected .*, got Trajectories$"):
            call()
    for call in (
        lambda: hyco.observe(door.trajectories.states, {"train_sim": [0]}),
        lambda: hyco.evaluate(physics, door.trajectories.states, [3]),
    ):
        with pytest.raises(TypeError, match=r"^trajectories: expected .*, got Tensor$"):
            call()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_is_a_whole_number(door, seed):
    for call in (
        lambda: hyco.simulate(door.equation, simulations=1, steps=2, seed=seed),
        lambda: hyco.observe(door.trajectories, {"train_sim": [0]}, seed=seed),
        lambda: hyco.train_network(door.observations, seed=seed),
        lambda: hyco.train_hybrid(door.equation, door.observations, door.learn, seed=seed),
    ):
        with pytest.raises(ValueError, match=r"^seed: expected a whole number from 0 on, got "):
            call()


def test_a_seed_of_numpy_is_that_number(door):
    states = [hyco.simulate(door.equation, simulations=1, steps=2, seed=s).states for s in (3, np.int64(3))]
    assert states[0].equal(states[1])


def test_a_device_that_there_is_not_is_refused(door):
    for device in ("gpu", None):
        with pytest.raises(hyco.ConfigurationError, match=r"^device: .* is not allowed; allowed: auto, cpu, cuda"):
            door.fit(device=device)


def test_unknowns_are_a_list_and_a_method_a_name_or_a_dictionary(door):
    for learn in (None, "viscosity", door.learn[0]):
        with pytest.raises(hyco.ConfigurationError, match=r"^learn: .* allowed: a list of dictionaries"):
            hyco.fit(door.equation, door.observations, learn)
    for method in (None, 3):
        with pytest.raises(hyco.ConfigurationError, match=r"^physical\.method: .* is not allowed; allowed: the name"):
            door.fit(method=method)


def test_a_network_by_its_bare_name_in_a_hybrid_is_a_mistake_of_that_key(door):
    for part in ("synthetic", "physical"):
        with pytest.raises(hyco.ConfigurationError, match=f"^hybrid.{part}: 'resnet' is not allowed; allowed: keys"):
            hyco.train_hybrid(door.equation, door.observations, door.learn, {part: "resnet"})


def test_early_stopping_needs_validation_simulations(door):
    observations = hyco.observe(door.trajectories, {"train_sim": [0, 1]})
    with pytest.raises(hyco.ConfigurationError, match=r"^synthetic\.early_stopping: 2 needs validation simulations"):
        hyco.train_network(observations, {"early_stopping": 2})


def test_initial_states_that_are_not_finite_are_refused(door, physics, network):
    states = door.starts.numpy().copy()
    states[0, 0, :2] = np.nan
    for call in (
        lambda: physics.rollout(states, 2),
        lambda: network.rollout(states, 2),
        lambda: hyco.simulate(door.equation, initial_states=states, steps=2),
    ):
        with pytest.raises(ValueError, match=r"^initial.states: 2 entries are not finite"):
            call()
    with pytest.raises(ValueError, match=r"^initial states: expected float32 or float64, got object"):
        physics.rollout(np.array([None]), 2)


def test_models_are_compared_on_states_like_those_they_learnt_from_only(door, physics, network):
    section = door.equation.config.model_dump()
    coarse = hyco.Trajectories(np.zeros((2, 4, 1, 16)), hyco.equation(section | STATES | {"dt": 0.05}))
    slow = hyco.Trajectories(np.zeros((2, 4, 1, 32)), hyco.equation(section | {"dt": 0.1}))
    for model, trajectories in ((physics, coarse), (physics, slow), (network, coarse), (network, slow)):
        with pytest.raises(ValueError, match=r"^models: .* predicts other states than those of trajectories"):
            hyco.evaluate(model, trajectories, [0])
    # Of a network of an earlier version nobody knows it.
    earlier = Bundle(network.final.tensors, {k: v for k, v in network.final.metadata.items() if k != "dt"})
    assert "synthetic" in hyco.evaluate(hyco.TrainedNetwork(earlier), slow, [0]).methods


def test_what_is_compared_are_models_and_whole_numbers(door, physics):
    for models in (None, "physical", [door.equation]):
        with pytest.raises(TypeError, match=r"^models: expected what hyco\.fit"):
            hyco.evaluate(models, door.trajectories, [3])
    for simulations in (3, "3", [1.0], [True]):
        with pytest.raises(ValueError, match=r"^simulations: expected indices from 0 to 3 in a list"):
            hyco.evaluate(physics, door.trajectories, simulations)
    with pytest.raises(ValueError, match=r"^simulation: expected a number from 0 to 0, got 9"):
        hyco.evaluate(physics, door.trajectories, [3]).plot_predictions(9)


def test_a_model_is_loaded_with_an_equation_that_it_can_be_of(door, physics, tmp_path):
    physics.save(tmp_path)
    section = door.equation.config.model_dump()
    with pytest.raises(ValueError, match=r"^equation: the model is of data with domain .*, dt 0\.05"):
        hyco.load(tmp_path, equation=hyco.equation(section | STATES))
    heat = {key: section[key] for key in ("domain", "dt")} | {"name": "heat", "max_diffusivity": 1.0}
    with pytest.raises(ValueError, match=r"^equation: heat has no viscosity, which physical_model\.json holds"):
        hyco.load(tmp_path, equation=hyco.equation(heat | {"parameters": {"diffusivity": 0.1}}))
    with pytest.raises(TypeError, match=r"^equation: "):
        hyco.load(tmp_path, equation=section)
    with pytest.raises(TypeError, match=r"^folder: expected a path, got NoneType"):
        hyco.load(None)


@pytest.mark.parametrize("name", ["physical_model.json", "physical_history.json"])
def test_a_file_with_something_else_in_it_is_refused(physics, tmp_path, name):
    physics.save(tmp_path / "good")
    shutil.copytree(tmp_path / "good", tmp_path / "bad")
    other = [1] if name.endswith("model.json") else {"a": 1}
    (tmp_path / "bad" / name).write_text(json.dumps(other))
    with pytest.raises(ValueError, match=f"{name} cannot be read .it holds a (list|dict) instead of a"):
        hyco.load(tmp_path / "bad")


@pytest.mark.parametrize("key", ["dt", "size", "lower"])
def test_time_and_space_are_finite(door, key):
    section = door.equation.config.model_dump()
    (section if key == "dt" else section["domain"]["x"])[key] = float("inf")
    with pytest.raises(hyco.ConfigurationError, match=f"{key}: inf: input should be a finite number"):
        hyco.equation(section)


def test_a_kind_that_there_is_not_is_called_a_kind(door):
    with pytest.raises(hyco.ConfigurationError, match="kind 'foo' is not allowed; allowed: 'scalar'"):
        hyco.fit(door.equation, door.observations, [door.learn[0] | {"kind": "foo"}])
