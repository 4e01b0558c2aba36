"""Sensors in a plate, at irregular times and about 20 °C: what the physics shows its network is worth there."""

import numpy as np
import pandas as pd
import pytest

import hyco
from hyco.training.validation import Validation

SIZE, D, NOISE = (3.0, 2.0), 0.05, 0.05
WAVES = ((1, 0, 2.0), (0, 1, 1.5), (1, 1, 1.0), (2, 1, 0.8), (3, 0, 0.7))
NETWORK = {"network": {"name": "resnet", "filters": 8, "blocks": 1, "kernel_size": 3, "coordinates": True}}
TRAINING = {"learning_rate": 3e-3, "batch_size": 4, "validate_every": 5}


def temperature(t, x, y):
    """The series of an insulated plate, each wave with its own decay."""
    total = 20.0 + 0.0 * t
    for i, j, amplitude in WAVES:
        k = np.pi * np.array([i, j]) / SIZE
        total = total + amplitude * np.exp(-D * (k @ k) * t) * np.cos(k[0] * x) * np.cos(k[1] * y)
    return total


def sensors(seed, count=30, times=9):
    random = np.random.default_rng(seed)
    where = random.random((count, 2)) * SIZE
    t = np.sort(np.r_[0.0, random.uniform(0.1, 3.0, times - 1)]).round(3)
    table = pd.DataFrame([(time, *place) for time in t for place in where], columns=["t", "x", "y"])
    table = table[random.random(len(table)) < 0.9]
    exact = temperature(table.t, table.x, table.y)
    return table.assign(T=exact + NOISE * random.standard_normal(len(table)))


@pytest.mark.slow
def test_the_network_of_the_hybrid_is_better_where_nobody_measured_than_the_one_alone(tmp_path):
    sensors(0).to_csv(tmp_path / "plate.csv", index=False)
    equation = hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": 3.0, "resolution": 18}, "y": {"size": 2.0, "resolution": 12}},
            "boundary": "neumann",
            "dt": 0.15,
            "form": "nondivergence",
            "order": 4,
            "max_diffusivity": 0.2,
            "parameters": {"diffusivity": 0.02},
        }
    )
    names = {"time": "t", "axes": {"x": "x", "y": "y"}, "fields": {"temperature": "T"}, "std": "estimate"}
    kept_back = {"train_sim": [0], "initial_state": "observed", "interpolation": "cubic", "holdout": {"fraction": 0.2}}
    seen = hyco.read_measurements(tmp_path / "plate.csv", equation, names, kept_back)
    learn = [{"name": "diffusivity", "initial_guess": 0.02, "bounds": [0.002, 0.2]}]
    section = {
        "epochs": 24,
        "warmup_epochs": 2,
        "alpha": "auto",
        "interleave_frequency": 2,
        "validate_every": 4,
        "synthetic": NETWORK | {k: v for k, v in TRAINING.items() if k != "validate_every"},
        "physical": {"method": "Levenberg-Marquardt"},
    }
    both = hyco.train_hybrid(equation, seen, learn, section)
    alone = hyco.train_network(seen, NETWORK | TRAINING | {"epochs": 100})
    validate = Validation(seen, rollout=True)
    hybrid = validate(both.network.model, both.initial_states)["score"]
    assert abs(both.physics.estimate["diffusivity"].value - D) < 3 * both.physics.estimate["diffusivity"].std
    assert hybrid < 0.9 * validate(alone.model)["score"]
    assert hybrid < 1.7 * NOISE / 20, "not far from the noise"
