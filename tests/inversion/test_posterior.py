"""What a finished inversion leaves for predictions: initial states, how sure they are, and draws of all unknowns."""

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.inversion.estimated_model import EstimatedModel
from hyco.inversion.posterior import BLOCK, DRAWS, Posterior
from hyco.observations import ObservationConfig, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.final import final_initial_states, physical_estimate
from hyco.training.physical import PhysicalConfig, train_physical

CPU = torch.device("cpu")
HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 2.0, "resolution": 12}},
    "boundary": "periodic",
    "dt": 0.05,
    "max_diffusivity": 0.4,
    "parameters": {"diffusivity": 0.08},
}
LEARN = {"name": "diffusivity", "initial_guess": 0.3, "bounds": [0.005, 0.4]}
STEPS, NOISE = 6, 0.02


def fitted(start, **changes):
    """The equation, what was measured, and the last checkpoint of a fit."""
    equation = build_equation(HEAT)
    data = generate(equation, GenerationConfig(simulations=2, steps=STEPS, length_scale=0.5), 0)
    config = {"train_sim": [1], "noise": NOISE, "noise_reference": "absolute", "initial_state": start}
    seen = observe(data, ObservationConfig.model_validate(config | changes.pop("observation", {})), 0)
    section = {"learnable_parameters": [LEARN], "method": "Levenberg-Marquardt", "num_predict_steps": STEPS}
    config = PhysicalConfig.model_validate(section | changes)
    *_, (last, _) = train_physical(equation, seen, config, configuration={}, device=CPU)
    return equation, seen, last


def test_known_initial_states_are_left_as_they_are_and_the_coefficients_draws_have_its_error_bar():
    _, seen, last = fitted("exact")
    bundle = final_initial_states(last)
    found = Posterior.of(bundle.tensors)
    assert torch.equal(found.initial_states, seen.initial_states[seen.train])
    assert found.initial_std is None
    assert found.initial_draws is None
    assert not bundle.metadata["estimated"]
    assert bundle.metadata["steps"] == STEPS
    number = physical_estimate(last)["diffusivity"]
    draws = found.parameters["diffusivity"]
    assert draws.shape == (DRAWS,)
    for block in (draws, draws[:BLOCK]):  # the coordinate is the logarithm, nearly straight over an error bar
        assert float(block.mean()) == pytest.approx(number.value, rel=1e-3)
        assert float(block.std()) == pytest.approx(number.std, rel=0.01)


@pytest.mark.parametrize("prior", [None, {"length_scale": 0.5}], ids=["noise alone", "prior"])
def test_estimated_initial_states_have_the_covariance_of_the_least_squares_fit(prior):
    """Witness: normal equations by hand, of states `u0` and the coefficient, by differences of rollouts."""
    equation, seen, last = fitted("full", initial_state=prior)
    bundle = final_initial_states(last)
    found, estimate = Posterior.of(bundle.tensors), physical_estimate(last)
    assert bundle.metadata["estimated"]
    assert found.initial_states.shape == found.initial_std.shape == (1, 1, 12)
    start, value = found.initial_states[0, 0], estimate["diffusivity"].value

    def predicted(unknown):
        model = EstimatedModel(estimate_of(estimate, float(unknown[0])), equation)
        after = model.rollout(unknown[None, None, 1:], STEPS)[0, :, 0]
        return torch.cat([unknown[None, 1:], after]).flatten() / NOISE

    at = torch.cat([torch.tensor([value], dtype=torch.float64), start])
    moves = 1e-5 * torch.eye(len(at), dtype=torch.float64)
    jacobian = torch.stack([(predicted(at + m) - predicted(at - m)) / 2e-5 for m in moves], dim=1)
    information = jacobian.T @ jacobian
    if prior is not None:  # of the states: a Gaussian covariance, as the docs say, nearly singular
        x = torch.arange(12, dtype=torch.float64) * 2 / 12
        away = torch.stack([(x[:, None] - x + shift).abs() for shift in (-4.0, -2.0, 0.0, 2.0, 4.0)])
        covariance = torch.exp(-0.5 * (away / 0.5) ** 2).sum(dim=0)
        information[1:, 1:] += torch.linalg.inv(covariance + 1e-6 * torch.eye(12))
    std = torch.linalg.inv(information).diagonal().sqrt()
    tolerance = 1e-3 if prior is None else 0.05
    assert torch.allclose(found.initial_std[0, 0], std[1:], rtol=tolerance)
    assert estimate["diffusivity"].std == pytest.approx(float(std[0]), rel=tolerance)
    residual = (predicted(at) - seen.values[0, :, 0].flatten() / NOISE) if prior is None else None
    if residual is not None:  # the estimate is the minimum, not the measurement
        slope = jacobian.T @ residual
        assert float((torch.linalg.inv(information) @ slope / std).abs().max()) < 0.05
    draws = found.initial_draws[:, 0, 0]
    assert torch.allclose(draws.std(dim=0), std[1:], rtol=max(tolerance, 2e-2))
    together = torch.cat([found.parameters["diffusivity"][:, None], draws], dim=1)
    expected = torch.linalg.inv(information)[0, 1:] / (std[0] * std[1:])
    assert torch.allclose(torch.corrcoef(together.T)[0, 1:], expected, atol=0.05)


def estimate_of(estimate, value):
    """An estimate with another value of the coefficient."""
    from dataclasses import replace

    return replace(estimate, values={"diffusivity": value})


def test_what_was_not_measured_is_less_certain():
    equation, seen, _ = fitted("full", observation={"train_sim": [0]})
    # Observed at the start alone, in half of the domain, and hardly later: the other half is known by its prior.
    half = seen.layout.grid.resolution[0] // 2
    seen.mask[:, 0, :, :half] = False
    seen.mask[:, 1:] = False
    seen.mask[:, 1, :, 3] = True
    seen.initial_state = "observed"
    section = {"learnable_parameters": [LEARN], "method": "Levenberg-Marquardt", "num_predict_steps": 1}
    section["initial_state"] = {"length_scale": 0.1, "amplitude": 1.0}
    config = PhysicalConfig.model_validate(section | {"suppress_convergence_errors": True})
    *_, (last, _) = train_physical(equation, seen, config, configuration={}, device=CPU)
    found = Posterior.of(final_initial_states(last).tensors)
    unseen, measured = found.initial_std[0, 0, : half - 1], found.initial_std[0, 0, half + 1 :]
    assert float(unseen.mean()) > 5 * float(measured.mean())
    assert bool(found.initial_std.isfinite().all())


def test_a_training_that_has_not_ended_has_no_initial_states_yet():
    _, _, last = fitted("exact")
    for name in [n for n in last.tensors if "posterior" in n]:
        del last.tensors[name]
    with pytest.raises(ValueError, match="holds no initial states"):
        final_initial_states(last)


def test_an_interrupted_training_leaves_the_same_posterior_to_the_bit():
    equation, seen, last = fitted("full", max_iterations=2, epochs=4, suppress_convergence_errors=True)
    section = {"learnable_parameters": [LEARN], "method": "Levenberg-Marquardt", "num_predict_steps": STEPS}
    config = PhysicalConfig.model_validate(
        section | {"max_iterations": 2, "epochs": 4, "suppress_convergence_errors": True}
    )
    first, *_ = (c for c, _ in train_physical(equation, seen, config, configuration={}, device=CPU))
    assert not [name for name in first.tensors if "posterior" in name]
    steps = train_physical(equation, seen, config, configuration={}, device=CPU, checkpoint=first, resume=True)
    *_, (again, _) = steps
    one, other = final_initial_states(last), final_initial_states(again)
    assert one.metadata == other.metadata
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())
    ((finished, _),) = train_physical(
        equation, seen, config, configuration={}, device=CPU, checkpoint=again, resume=True
    )
    assert all(torch.equal(value, finished.tensors[name]) for name, value in again.tensors.items())
