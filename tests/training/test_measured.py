"""What trainings see of measurements."""

import torch

from hyco.equations.registry import build_equation
from hyco.observations import ObservationConfig, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.measured import with_admissible_starts

SECTION = {
    "name": "formula",
    "domain": {"x": {"size": 6.0, "resolution": 24}},
    "dt": 0.2,
    "fields": {"v": {}, "u": {"lower": 0.0, "upper": 1.5}},
    "rates": {"v": "D*laplace(v) - u", "u": "D*laplace(u) + r*u*(1 - u)"},
    "parameters": {"D": 0.1, "r": 1.0},
}


def test_noise_leaves_no_start_where_its_field_may_not_be_and_the_measurements_as_they_are():
    equation = build_equation(SECTION)
    data = generate(equation, GenerationConfig(simulations=4, steps=3, length_scale=0.8), 0)
    keys = {"train_sim": [0, 1], "val_sim": [2], "test_sim": [3], "noise": 0.5, "initial_state": "full"}
    seen = observe(data, ObservationConfig.model_validate(keys), 0)
    better = with_admissible_starts(seen, equation)
    for before, after in (
        (seen.initial_states, better.initial_states),
        (seen.test_initial_states, better.test_initial_states),
    ):
        assert before[:, 1].min() < 0
        assert torch.equal(after[:, 0], before[:, 0])
        assert torch.equal(after[:, 1], before[:, 1].clamp(0.0, 1.5))
    assert torch.equal(better.values, seen.values)
    exact = observe(data, ObservationConfig.model_validate(keys | {"initial_state": "exact"}), 0)
    assert with_admissible_starts(exact, equation) is exact
