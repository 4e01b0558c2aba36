"""The first update: shorter horizons, and the weight of a regularisation that is to be chosen."""

from functools import cache

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.optimisers.levenberg_marquardt import LevenbergMarquardt
from hyco.inversion.optimisers.result import OptimisationResult
from hyco.observations import ObservationConfig, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig, train_physical

HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 3.0, "resolution": 8}, "y": {"size": 2.0, "resolution": 6}},
    "boundary": {"x": 0.0, "y": "neumann"},
    "dt": 0.05,
    "max_diffusivity": 1.0,
    "parameters": {"diffusivity": "0.3 + 0.1 * x"},
}
FIELD = {"name": "diffusivity", "kind": "field", "initial_guess": 0.45, "bounds": [0.05, 0.9], "transform": "none"}


@cache
def measured():
    """The equation, whose step is recorded once, and noisy observations of two simulations."""
    equation = build_equation(HEAT)
    data = generate(equation, GenerationConfig(simulations=2, steps=4, length_scale=0.8), 0)
    return equation, observe(data, ObservationConfig.model_validate({"train_sim": [0, 1], "noise": 0.01}), 0)


def trainer(regularisation=None, **physical):
    equation, observations = measured()
    parameters = [FIELD | {"regularisation": regularisation or {}}]
    config = {"learnable_parameters": parameters, "num_predict_steps": 4, "suppress_convergence_errors": True}
    settings = PhysicalConfig.model_validate(config | {"method": "Levenberg-Marquardt", "epochs": 20} | physical)
    return Calibrator(equation, observations, settings, num_predict_steps=4, device=torch.device("cpu"))


def distance(physics):
    truth = physics.problem.forward.stepper.equation.parameters["diffusivity"]
    return float((physics.model.space.to_values(physics.model.theta)["diffusivity"] - truth).norm())


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"method": "L-BFGS-B"}, {"horizons": [2]}], ids=["lbfgs", "horizons"])
def test_a_small_field_is_found_with_a_weight_that_is_chosen_on_the_way(changes):
    physics = trainer(**changes)
    before = distance(physics)
    assert physics.model.metrics() == {}
    assert physics.model.assessment is None, "before the first update there is no weight, so that nothing can be said"
    physics.update()
    assert distance(physics) < 0.6 * before
    assert physics.model.assessment is not None
    assert physics.model.space.undecided == []


@pytest.mark.parametrize("horizons", [[], [2]])
@pytest.mark.parametrize("weight", ["discrepancy", "l_curve"])
def test_several_guesses_are_tried_by_the_first_fit_that_chooses_a_weight(weight, horizons, monkeypatch):
    counts, minimise = [], LevenbergMarquardt.minimise

    def count(optimiser, objective, guesses, **options):
        counts.append(len(guesses))
        return minimise(optimiser, objective, guesses, **options)

    monkeypatch.setattr(LevenbergMarquardt, "minimise", count)
    trainer({"weight": weight}, starts=3, horizons=horizons, epochs=2).update()
    assert counts[0] == 3
    assert set(counts[1:]) == {1}


def test_the_first_update_is_kept_as_the_best_whichever_stage_found_it(monkeypatch):
    physics = trainer({"weight": 10.0}, horizons=[3], max_iterations=30, epochs=1)
    config, observations = physics.config, physics.problem.data.observations
    equation, cpu = physics.problem.forward.stepper.equation, torch.device("cpu")
    monkeypatch.setattr(OptimisationResult, "improved", False)
    ((checkpoint, _),) = train_physical(equation, observations, config, configuration={}, device=cpu)
    assert checkpoint.metadata["is_best"]


def test_the_penalty_of_a_weight_is_that_of_its_own_parameters():
    physics = trainer({"kind": "tikhonov"})
    z = physics.model.space.initial + 0.1
    cell = 3.0 * 2.0 / 48
    assert float(physics.model.space.penalty(z, ["diffusivity"])) == pytest.approx(48 * cell * (0.1 * 0.85) ** 2)
