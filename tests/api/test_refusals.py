"""Wrong sections are told with one line per problem: the key, and what is allowed."""

import numpy as np
import pytest

import hyco


def lines(function, *arguments, **options):
    """The message of a configuration's error, line by line."""
    with pytest.raises(hyco.ConfigurationError) as raised:
        function(*arguments, **options)
    assert isinstance(raised.value, ValueError)
    return str(raised.value).splitlines()


def test_an_equation_says_all_that_is_wrong_with_it(door):
    section = door.equation.config.model_dump()
    section |= {"dt": -0.1, "colour": "red", "parameters": {"viscosity": "thick"}}
    first, second, third = lines(hyco.equation, section)
    assert first == "equation.dt: -0.1: input should be greater than 0"
    assert second.startswith("equation.parameters.viscosity: 'thick': input should be a valid number")
    assert third.startswith("equation.colour: unknown key (value 'red'); allowed: boundary, domain, dt")


def test_an_equation_that_does_not_exist_names_those_that_do():
    assert lines(hyco.equation, {"name": "burger"})[0].startswith(
        "equation.name: unknown equation 'burger'; available: "
    )
    assert lines(hyco.equation, {})[0].startswith("equation.name: is missing; available: advection")
    assert lines(hyco.equation, {"name": "nowhere:Wave"})[0].startswith(
        "equation.name: equation 'nowhere:Wave': there is"
    )
    assert lines(hyco.equation, 3) == ["equation: 3 is not allowed; allowed: keys with values"]


def test_simulations_and_observations_say_what_is_allowed(door):
    assert lines(hyco.simulate, door.equation, simulations=0, steps=-1) == [
        "generation.simulations: 0: input should be greater than 0",
        "generation.steps: -1: input should be greater than 0",
    ]
    wrong = {"train_sim": [0], "noise": -1, "space": {"mode": "points", "cont": 3}}
    found = lines(hyco.observe, door.trajectories, wrong)
    assert found[0] == "observation.noise: -1: input should be greater than or equal to 0"
    assert any(line.startswith("observation.space.cont: unknown key (value 3)") for line in found)
    with pytest.raises(ValueError, match="asks for simulation 9"):
        hyco.observe(door.trajectories, {"train_sim": [9]})
    with pytest.raises(ValueError, match="say how many, or give initial_states"):
        hyco.simulate(door.equation, steps=3)
    with pytest.raises(ValueError, match="3 asked for, but there are 4"):
        hyco.simulate(door.equation, initial_states=door.starts, simulations=3, steps=3)


def test_states_that_were_not_measured_cannot_be_observed(door):
    states = door.trajectories.states.numpy().copy()
    states[1, 3] = np.nan
    gaps = hyco.Trajectories(states, door.equation)
    with pytest.raises(ValueError, match="not finite"):
        hyco.observe(gaps, {"train_sim": [0, 1]})
    assert len(hyco.observe(gaps, {"train_sim": [0, 2]}).values) == 2


def test_a_fit_says_what_is_wrong_with_the_unknowns_and_the_options(door):
    learn = [{"name": "visc", "initial_guess": 0.5}, {"name": "viscosity", "initial_guess": -1.0}]
    found = lines(hyco.fit, door.equation, door.observations, learn, num_predict_steps=99)
    assert found[0] == "learn.0.name: 'visc' is no parameter of burgers; it has: viscosity, convection"
    assert found[1].startswith("learn.1.initial_guess: ")
    assert found[2].startswith("physical.num_predict_steps: 99 is longer than a simulation")
    (found,) = lines(hyco.fit, door.equation, door.observations, door.learn, epoch=3)
    assert found.startswith("physical.epoch: unknown key (value 3); allowed: abs_tol")
    assert found.endswith("(did you mean epochs?)")
    (found,) = lines(hyco.fit, door.equation, door.observations, door.learn, method="Newton")
    assert found.startswith("physical.method: unknown optimiser 'Newton'; available: Adam")


def test_observations_of_other_states_than_the_equations_are_refused(door):
    other = hyco.equation(door.equation.config.model_dump() | {"dt": 0.1})
    for train in (hyco.fit, hyco.train_hybrid):
        with pytest.raises(ValueError, match=r"dt 0\.05\), the section equation has .* dt 0\.1"):
            train(other, door.observations, door.learn)


def test_a_network_says_what_is_wrong_with_its_section(door):
    found = lines(hyco.train_network, door.observations, {"network": {"name": "rsnet"}, "epoch": 3})
    assert found[0].startswith("synthetic.network: unknown network 'rsnet'; available: dilated_resnet")
    assert found[1].startswith("synthetic.epoch: unknown key (value 3)")
    with pytest.raises(ValueError, match="num_predict_steps is 9"):
        hyco.train_network(door.observations, {"num_predict_steps": 9})


def test_a_hybrid_says_what_is_wrong_with_it_and_with_its_parts(door):
    section = {"alpha": 2, "epochs": 3, "synthetic": {"epochs": 3}, "physical": {"method": "Newton"}}
    found = lines(hyco.train_hybrid, door.equation, door.observations, door.learn, section)
    assert "hybrid.synthetic.epochs: 3 is not allowed here; set hybrid.epochs" in found
    assert "hybrid.alpha: 2 is not allowed; allowed: a number from 0 to 1, or auto" in found
    assert any(line.startswith("hybrid.physical.method: unknown optimiser 'Newton'") for line in found)
    section = {"physical": {"learnable_parameters": door.learn}}
    (found,) = lines(hyco.train_hybrid, door.equation, door.observations, door.learn, section)
    assert found.endswith("it is the argument learn")
    (found,) = lines(hyco.train_hybrid, door.equation, door.observations, door.learn, {"epochs": 3, "warmup_epochs": 4})
    assert found.startswith("hybrid.warmup_epochs: 4 is more than hybrid.epochs = 3")


def test_a_comparison_of_two_models_of_one_name_is_refused(door, physics):
    with pytest.raises(ValueError, match="one of each kind can be compared, got physical, physical"):
        hyco.evaluate([physics, physics], door.trajectories, [3])
    for simulations in ([4], [-1], []):
        with pytest.raises(ValueError, match="simulations: expected indices from 0 to 3"):
            hyco.evaluate(physics, door.trajectories, simulations)
