"""An equation that depends on the time, through the front door: fits, rollouts and predictions from any time."""

import numpy as np
import pytest
import torch

import hyco
from hyco.config import ConfigurationError, parse
from hyco.inversion.posterior import Posterior
from hyco.pipelines.predict.nodes import predict_states
from hyco.predictions.files import read_states_file

STEPS = 8
LEARN = [
    {"name": "diffusivity", "initial_guess": 0.03, "bounds": [0.01, 0.3]},
    {"name": "strength", "initial_guess": 0.4, "bounds": [0.1, 3.0]},
]


@pytest.fixture(scope="module")
def equation(heated_rod):
    return hyco.equation({**heated_rod.SECTION, "substeps": 4})


@pytest.fixture(scope="module")
def physics(equation):
    trajectories = hyco.simulate(equation, initial_states=equation.solution([0.0]), steps=STEPS)
    observations = hyco.observe(trajectories, {"train_sim": [0], "noise": 0.01, "noise_reference": "absolute"})
    return hyco.fit(equation, observations, LEARN, method="Levenberg-Marquardt")


def test_a_fit_finds_the_coefficients_with_honest_error_bars(physics):
    for name, true in (("diffusivity", 0.1), ("strength", 1.0)):
        estimate = physics.estimate[name]
        assert abs(estimate.value - true) < 4 * estimate.std < 0.3 * true


def test_a_prediction_from_the_end_of_the_data_continues_the_truth(equation, physics, tmp_path):
    data = physics.predict(steps=10)
    assert np.allclose(data.time, 0.1 * np.arange(STEPS + 1, STEPS + 11))
    truth, std = equation.solution(data.time.to_numpy())[:, 0].numpy(), data["physical.u_std"][0].to_numpy()
    assert (np.abs(data["physical.u"][0].to_numpy() - truth) <= 4 * std + 1e-3).all()
    # From the same states, given with their time, it goes on likewise.
    end = physics.predict(steps=1, initial_states=physics.rollout(physics.initial_states, STEPS)[:, -1], time=0.8)
    assert end.time.to_numpy().tolist() == pytest.approx([0.9])
    assert end.time.attrs["long_name"] == "time"
    assert np.allclose(end["physical.u"][0], data["physical.u"][0, :1], rtol=0, atol=1e-12)
    physics.save(tmp_path)
    assert hyco.load(tmp_path).predict(steps=3).identical(physics.predict(steps=3))


def test_error_bars_and_states_of_a_file_are_at_the_given_time_too(equation, physics, heated_rod, tmp_path):
    states, path = equation.solution([0.8, 1.7]), tmp_path / "mine.npz"
    expected = physics.predict(states, 3, time=0.8)
    draws = {
        name: values[:50].repeat_interleave(2)
        for name, values in Posterior.of(physics.posterior.tensors).parameters.items()
    }
    rolled = physics.evaluated.model.rollout_with(draws, states.repeat(50, 1, 1), 3, 0.8).reshape(50, 2, 3, 16)
    assert np.allclose(expected["physical.u_std"], rolled.std(dim=0), rtol=1e-6)
    np.savez(path, u=states[:, 0].numpy())
    assert np.array_equal(physics.predict(path, 3, time=0.8)["physical.u"], expected["physical.u"])
    found = predict_states(
        {"physical": physics.left},
        read_states_file(path),
        None,
        None,
        {},
        {**heated_rod.SECTION, "substeps": 4},
        {},
        {"initial_states": str(path), "steps": 3, "time": 0.8},
        "rod",
        0,
    )
    assert np.array_equal(found["physical.u"], expected["physical.u"])
    assert np.array_equal(found.time, expected.time)


@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray])
def test_rollouts_begin_at_the_times_that_are_given(equation, physics, kind):
    times = [0.8, 0.0, 2.5]
    states = physics.rollout(kind(equation.solution(times).numpy()), 5, time=kind(np.array(times)))
    exact = torch.stack([equation.solution(np.array(times) + 0.1 * n) for n in range(1, 6)], dim=1)
    assert type(states) is type(kind(np.zeros(1)))
    assert float((torch.as_tensor(states) - exact).abs().max()) < 0.05
    alone = physics.rollout(equation.solution(times[2:]), 5, time=2.5)
    assert torch.allclose(alone, torch.as_tensor(states)[2:], rtol=0, atol=1e-13)


@pytest.mark.parametrize("time", [float("nan"), True, "later", np.zeros(2), torch.zeros(3, 1), torch.tensor([1, 2, 3])])
def test_what_is_no_time_is_refused(equation, physics, time):
    with pytest.raises(ValueError, match="time: expected a finite number, or an array of 3, one for each state, got"):
        physics.rollout(equation.solution([0.0, 1.0, 2.0]), 2, time=time)


def test_the_end_of_the_data_has_its_own_time(physics, complete):
    with pytest.raises(ValueError, match="without initial_states the data say it"):
        physics.predict(steps=2, time=1.0)
    parse(complete(predict={"initial_states": "mine.nc", "time": 1.5}))
    with pytest.raises(ConfigurationError, match=r"predict\.time: 1\.5 is not allowed; allowed: 0"):
        parse(complete(predict={"time": 1.5}))


def test_a_hybrid_finds_the_coefficients_too(equation, caplog):
    trajectories = hyco.simulate(equation, simulations=3, steps=STEPS, length_scale=0.8)
    observations = hyco.observe(trajectories, {"train_sim": [0, 1], "val_sim": [2], "noise": 0.01})
    network = {"network": {"name": "resnet", "filters": 4, "blocks": 1}}
    section = {"epochs": 4, "warmup_epochs": 1, "alpha": "auto", "synthetic": network}
    both = hyco.train_hybrid(equation, observations, LEARN, section)
    assert caplog.text.count("does not know") == 1
    for name, true in (("diffusivity", 0.1), ("strength", 1.0)):
        assert both.physics.estimate[name].value == pytest.approx(true, rel=0.1)
    later = both.predict(trajectories.states[:2, 4], 4, time=0.4)
    truth = trajectories.states[:2, 5:, 0].numpy()
    assert np.abs(later["hybrid_physical.u"].to_numpy() - truth).max() < 0.05
    evaluation = hyco.evaluate([both], trajectories, [2])
    assert evaluation.methods["hybrid_physical"]["nrmse"]["mean"] < 0.02
