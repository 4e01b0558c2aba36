"""From an optimum to estimates: what is said of numbers that the data do not determine."""

import math

import pytest
import torch

from hyco.inversion.calibrator import Calibrator

BOUNDS = [0.05, 1.0]


def trainer(problem, *parameters, **changes):
    config = problem.physical(learnable_parameters=list(parameters), method="Levenberg-Marquardt", **changes)
    return Calibrator(problem.equation, problem.observations, config, num_predict_steps=4, device=torch.device("cpu"))


def test_exact_data_do_not_determine_the_factors_of_a_product(make_problem):
    scalars = [{"name": name, "initial_guess": 0.3, "bounds": BOUNDS} for name in "ab"]
    product = {"name": "viscosity", "kind": "expression", "expression": "a * b", "scalars": scalars}
    physics = trainer(make_problem({"noise": 0.0}), product, abs_tol=1e-14, suppress_convergence_errors=True)
    physics.update()
    assert physics.model.values["viscosity.a"] * physics.model.values["viscosity.b"] == pytest.approx(0.1, rel=1e-6)
    for entry in physics.model.numbers().values():
        assert not entry.identifiable
        assert entry.std == pytest.approx((BOUNDS[1] - BOUNDS[0]) / math.sqrt(12))


@pytest.mark.parametrize("transform", ["none", "log", "logit"])
def test_where_nothing_is_known_the_std_is_that_of_the_bounds_in_every_transform(problem, transform):
    physics = trainer(problem, {"name": "viscosity", "initial_guess": 0.5, "bounds": BOUNDS, "transform": transform})
    physics.problem.starts = torch.ones_like(physics.problem.starts)
    physics.problem.data.targets = torch.ones_like(physics.problem.data.targets)
    entry = physics.model.numbers()["viscosity"]
    assert entry.std == pytest.approx((BOUNDS[1] - BOUNDS[0]) / math.sqrt(12))
    assert entry.interval == pytest.approx(BOUNDS)
    assert not entry.identifiable
