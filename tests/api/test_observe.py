"""Measurements of simulations, as the front door makes them."""

import torch

import hyco


def test_measured_starts_are_ones_that_the_equation_can_have():
    growth = hyco.equation(
        {
            "name": "formula",
            "rates": {"u": "D*laplace(u) + r*u*(1 - u)"},
            "fields": {"u": {"lower": 0.0}},
            "domain": {"x": {"size": 1.0, "resolution": 8}},
            "dt": 0.1,
            "parameters": {"D": 0.01, "r": 1.0},
        }
    )
    states = torch.zeros(2, 4, 1, 8, dtype=torch.float64)
    section = {"train_sim": [0], "test_sim": [1], "noise": 0.1, "noise_reference": "absolute"}
    measured = hyco.observe(hyco.Trajectories(states, growth), {**section, "initial_state": "full"})
    assert measured.values.min() < 0.0  # what was measured stays
    assert measured.initial_states.min() == 0.0 < measured.initial_states.max()
    assert measured.test_initial_states.min() == 0.0
    exact = hyco.observe(hyco.Trajectories(states - 1.0, growth), {**section, "initial_state": "exact"})
    assert exact.initial_states.max() == -1.0
