"""The prior of unknown initial states: the same results in every run."""

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.generation import GenerationConfig, generate
from hyco.grid import Grid
from hyco.observations import ObservationConfig, observe
from hyco.physics.registry import build_equation
from hyco.training.initial_state import InitialStatePrior, InitialStates
from hyco.training.physical import PhysicalConfig, train_physical

CPU = torch.device("cpu")
PLATE = {"x": {"size": 2.0, "resolution": 16}, "y": {"size": 1.5, "resolution": 10}}
HEAT = {"name": "heat", "dt": 0.05, "max_diffusivity": 0.4, "parameters": {"diffusivity": 0.08}}
DIFFUSIVITY = {"name": "diffusivity", "initial_guess": 0.3, "bounds": [0.005, 0.4]}
PRIOR = {"length_scale": 0.5, "amplitude": 1.0}


def measured(section, formula, observation=None, length_scale=0.5):
    equation = build_equation(section)
    start = {} if formula is None else {equation.layout.channels[0]: formula}
    data = generate(
        equation, GenerationConfig(simulations=2, steps=10, length_scale=length_scale, initial_state=start), 0
    )
    config = {"train_sim": [0, 1], "noise": 0.01, "initial_state": "full"} | (observation or {})
    return equation, observe(data, ObservationConfig.model_validate(config), 0)


def settings(learnable, method="Levenberg-Marquardt", **changes):
    return PhysicalConfig.model_validate(
        {
            "learnable_parameters": [learnable],
            "method": method,
            "num_predict_steps": 10,
            "initial_state": PRIOR,
            "suppress_convergence_errors": True,
            "epochs": 40,
        }
        | changes
    )


def layout(boundary, *others, resolution=(12, 9)):
    grid = Grid(axes=("x", "y"), lower=(-1.0, 0.0), size=(2.0, 3.0), resolution=resolution)
    return Layout(grid, tuple(FieldSpec(f"u{i}", boundary=b) for i, b in enumerate((boundary, *others))))


def test_the_first_coordinates_are_the_same_to_the_bit_in_every_call():
    where, prior = layout(0.0, resolution=(24, 20)), InitialStatePrior(length_scale=0.4)
    observed = torch.randn(2, 1, 24, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = torch.ones(1, 1, 1, dtype=torch.float64)
    first = InitialStates(observed, unit, where, prior).initial
    assert all(torch.equal(InitialStates(observed, unit, where, prior).initial, first) for _ in range(50))


@pytest.mark.parametrize("method", ["Levenberg-Marquardt", "L-BFGS-B"])
def test_trainings_with_a_prior_are_the_same_to_the_bit_and_resumable(method, assert_resumable):
    section = HEAT | {"domain": PLATE, "boundary": {"x": {"lower": 0.0, "upper": "neumann"}, "y": "periodic"}}
    equation, seen = measured(section, None, {"initial_state": "observed", "space": {"mode": "points", "count": 40}})
    config = settings(DIFFUSIVITY, method, epochs=4, num_predict_steps=4, max_iterations=2)

    def run(checkpoint, resume):
        return train_physical(
            equation, seen, config, configuration={}, device=CPU, checkpoint=checkpoint, resume=resume
        )

    one = assert_resumable(run, 1)[-1][0]
    other = list(run(None, False))[-1][0]
    assert all(torch.equal(other.tensors[name], value) for name, value in one.tensors.items())
