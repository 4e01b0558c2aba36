"""Predictions and their error bars: exact where the problem is linear, and equal to rollouts."""

import math

import numpy as np
import pytest
import torch

import hyco
from hyco.predictions.predict import with_units

# One Fourier mode under heat conduction: u = A exp(-D k² t) sin(kx), whose sensitivity to D is -k² t u.
D, K, CELLS, DT, STEPS = 0.02, 2 * math.pi, 32, 0.05, 6
SECTION = {
    "name": "heat",
    "form": "nondivergence",
    "order": 4,
    "domain": {"x": {"size": 1.0, "resolution": CELLS}},
    "dt": DT,
    "substeps": 4,
    "max_diffusivity": 0.1,
    "parameters": {"diffusivity": D},
}
LEARN = [{"name": "diffusivity", "initial_guess": 0.05, "bounds": [0.001, 0.1]}]
NOISE = {"train_sim": [0], "noise": 0.01, "noise_reference": "absolute"}


def mode(time, diffusivity=D):
    """The exact solution, `[times, cells]`."""
    x = (np.arange(CELLS) + 0.5) / CELLS
    return np.exp(-diffusivity * K**2 * np.atleast_1d(time))[:, None] * np.sin(K * x)


def measured(heat, **changes):
    start = torch.from_numpy(mode(0.0))[None]
    trajectories = hyco.simulate(heat, initial_states=start, steps=STEPS)
    return hyco.observe(trajectories, NOISE | changes)


@pytest.fixture(scope="module")
def heat():
    return hyco.equation(SECTION)


@pytest.fixture(scope="module")
def physics(heat):
    return hyco.fit(heat, measured(heat), LEARN, method="Levenberg-Marquardt")


@pytest.fixture(scope="module")
def both(heat):
    trajectories = hyco.simulate(heat, simulations=3, steps=STEPS, length_scale=0.3)
    observations = hyco.observe(trajectories, {"train_sim": [0, 2], "val_sim": [1], "noise": 0.01})
    network = {"network": {"name": "resnet", "filters": 4, "blocks": 1}}
    return hyco.train_hybrid(heat, observations, LEARN, {"epochs": 2, "warmup_epochs": 1, "synthetic": network})


def test_from_the_end_of_the_data_the_exact_solution_goes_on(physics):
    estimate = physics.estimate["diffusivity"]
    data = physics.predict(steps=20)
    assert data.sizes == {"simulation": 1, "time": 20, "x": CELLS}
    assert np.allclose(data.time, DT * np.arange(STEPS + 1, STEPS + 21))
    assert np.allclose(data.x, (np.arange(CELLS) + 0.5) / CELLS)
    expected = mode(data.time, estimate.value)
    assert np.abs(data["physical.temperature"][0] - expected).max() < 2e-4
    truth, std = mode(data.time), data["physical.temperature_std"][0]
    assert (np.abs(data["physical.temperature"][0] - truth) <= 4 * std + 2e-4).all()


@pytest.mark.parametrize("samples", [50, 100])
def test_the_error_bar_is_the_sensitivity_times_that_of_the_coefficient(physics, samples):
    estimate = physics.estimate["diffusivity"]
    given, later = physics.predict(mode(0.0)[None], 12, samples=samples), physics.predict(steps=12, samples=samples)
    for data in (given, later):
        time = data.time.to_numpy()
        expected = K**2 * time[:, None] * np.abs(mode(time, estimate.value)) * estimate.std
        assert np.allclose(data["physical.temperature_std"][0], expected, rtol=0.02)
    assert given.time[0] == pytest.approx(DT)
    assert given["physical.temperature_std"].attrs["uncertainty_of"].startswith("parameters alone")
    assert later["physical.temperature_std"].attrs["uncertainty_of"] == "parameters alone; initial states are known"
    assert given["physical.temperature"].attrs["ancillary_variables"] == "physical.temperature_std"


def test_an_estimated_initial_state_is_in_the_error_bar_with_what_it_has_in_common_with_the_coefficient(heat):
    """Witness: the prior's modes are waves, each of which decays by itself: normal equations by hand."""
    seen, length = measured(heat, initial_state="full"), 0.4
    physics = hyco.fit(heat, seen, LEARN, method="Levenberg-Marquardt", initial_state={"length_scale": length})
    data = physics.predict(steps=10, samples=100)
    std, meaning = data["physical.temperature_std"][0].to_numpy(), data["physical.temperature_std"].attrs
    assert meaning["uncertainty_of"] == "parameters and estimated initial states, together"
    assert physics.initial_states.shape == physics.initial_states_std.shape == (1, 1, CELLS)
    value, later = physics.estimate["diffusivity"].value, data.time.to_numpy()
    x, waves = (np.arange(CELLS) + 0.5) / CELLS, K * np.arange(3)
    prior = np.exp(-0.25 * (waves * length) ** 2)
    prior = prior / np.sqrt(prior[0] ** 2 + 2 * (prior[1:] ** 2).sum())

    def sensitivity(times):
        """Of the state to D and to the coordinates of five waves, `[times * cells, 6]`."""
        columns = [-(K**2) * times[:, None] * mode(times, value)]
        for wave, size in zip(waves, prior, strict=True):
            decay = size * np.exp(-value * wave**2 * times)[:, None]
            shapes = [np.sin(wave * x), np.cos(wave * x)] if wave else [np.sqrt(0.5) * np.ones(CELLS)]
            columns += [decay * np.sqrt(2) * shape for shape in shapes]
        return np.stack(columns, axis=-1).reshape(-1, len(columns))

    seen_at = sensitivity(DT * np.arange(STEPS + 1)) / 0.01
    covariance = np.linalg.inv(seen_at.T @ seen_at + np.diag([0, 1, 1, 1, 1, 1]))
    expected = np.sqrt(np.einsum("ni,ij,nj->n", sensitivity(later), covariance, sensitivity(later))).reshape(std.shape)
    assert np.allclose(std, expected, rtol=0.02)
    alone = physics.predict(physics.initial_states, STEPS + 10)["physical.temperature_std"][0, STEPS:].to_numpy()
    assert np.abs(alone / expected - 1).max() > 0.3


def test_the_networks_predictions_are_its_rollouts_to_the_bit(both):
    starts = np.concatenate([mode(0.0)[None], 0.3 * mode(0.0)[None]])
    data = both.predict(starts, 5)
    assert list(data.data_vars) == [
        "hybrid_synthetic.temperature",
        "hybrid_physical.temperature",
        "hybrid_physical.temperature_std",
    ]
    assert np.array_equal(data["hybrid_synthetic.temperature"], both.network.rollout(starts, 5)[:, :, 0])
    assert np.array_equal(data["hybrid_physical.temperature"], both.physics.rollout(starts, 5)[:, :, 0])
    alone = both.network.predict(starts, 5)
    assert np.array_equal(alone["hybrid_synthetic.temperature"], data["hybrid_synthetic.temperature"])
    assert alone.time.to_numpy().tolist() == [1, 2, 3, 4, 5]


def test_both_models_go_to_the_end_of_the_data_by_themselves(both):
    data = both.predict()
    assert data.sizes["time"] == STEPS
    assert data.sizes["simulation"] == 2
    for part in (both.network, both.physics):
        rolled = part.rollout(both.initial_states, 2 * STEPS)[:, STEPS:, 0]
        assert np.array_equal(data[f"{part.method}.temperature"], rolled.numpy())


def test_a_loaded_model_predicts_the_same(physics, tmp_path):
    physics.save(tmp_path)
    assert hyco.load(tmp_path).predict(steps=3).identical(physics.predict(steps=3))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((np.ones((1, 1, 8)),), "expected the shape"),
        ((np.full((1, 1, CELLS), np.nan), 3), "not finite"),
        ((None, 0), "steps: expected a whole number from 1 on, got 0"),
        ((None, 2.5), "steps: expected a whole number"),
    ],
)
def test_what_cannot_be_meant_is_refused(physics, arguments, text):
    with pytest.raises(ValueError, match=text):
        physics.predict(*arguments)
    with pytest.raises(ValueError, match="samples: expected a whole number from 2 to 100, got 1"):
        physics.predict(samples=1)


def test_units_are_those_of_the_file(physics):
    data = with_units(physics.predict(steps=2), {"time": "s", "x": "m", "temperature": "K"})
    assert (data.time.attrs["units"], data.x.attrs["units"]) == ("s", "m")
    assert {data[name].attrs["units"] for name in data.data_vars} == {"K"}
    assert len(data.data_vars) == 2
