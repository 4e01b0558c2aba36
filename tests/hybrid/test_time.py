"""Hybrids of an equation whose step depends on the time: every window, and every fresh state, begins when it is."""

import json

import pytest
import torch

from hyco.config import resolve_hybrid
from hyco.equations.registry import build_equation
from hyco.evaluation import evaluated_models, roll_out_methods
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.correction import model_from_bundle
from hyco.hybrid.trainer import HybridTrainer
from hyco.inversion.targets import SyntheticTargets
from hyco.observations import ObservationConfig, observe
from hyco.report import report
from hyco.runtime.storage import Bundle
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_synthetic_model
from hyco.training.synthetic import train_synthetic, unknown_time
from hyco.training.trainer import SyntheticTrainer
from hyco.training.validation import Validation

CPU = torch.device("cpu")
OBSERVATION = {"train_sim": [0, 1], "val_sim": [2], "test_sim": [3]}
SYNTHETIC = {"network": {"name": "resnet", "filters": 4, "blocks": 1}, "batch_size": 4, "use_sliding_window": True}
LEARN = [{"name": "diffusivity", "initial_guess": 0.1, "bounds": [0.01, 0.2]}]
FRESH = {"count": 5, "steps": 6, "refresh_every": 2}


class Rod:
    """A small problem; with the first guess at the truth, where `at` is that."""

    def __init__(self, section, **observation):
        self.section, self.equation = section, build_equation(section)
        data = generate(self.equation, GenerationConfig(simulations=4, steps=8, length_scale=0.8), 0)
        self.states = data.tensors["trajectories"]
        self.observations = observe(data, ObservationConfig.model_validate(OBSERVATION | observation), 0)

    def hybrid(self, guess=0.1, synthetic=None, **changes):
        physical = {
            "learnable_parameters": [LEARN[0] | {"initial_guess": guess}],
            "suppress_convergence_errors": True,
            "max_iterations": 3,
        }
        hybrid = {"epochs": 4, "num_predict_steps": 3, "warmup_epochs": 1, "alpha": 0.5} | changes
        resolved = resolve_hybrid(hybrid, SYNTHETIC | (synthetic or {}), physical)
        return HybridTrainer(
            self.equation,
            self.observations,
            HybridConfig.model_validate(resolved),
            0,
            configuration={"equation": self.section, "hybrid": resolved, "seed": 0},
            device=CPU,
        )


@pytest.fixture(scope="module")
def rod(heated_rod):
    return Rod(heated_rod.SECTION)


def test_the_physical_model_predicts_the_truth_of_every_window(rod):
    trainer = rod.hybrid()
    windows, physics = trainer.synthetic.windows, trainer.physical.model
    truth = windows.targets(rod.states[:2])
    starts, times = windows.starts(rod.states[:2]), windows.start_times(rod.equation.dt)
    assert torch.allclose(physics.rollout(starts, 3, times), truth, rtol=0, atol=1e-12)
    assert not torch.allclose(physics.rollout(starts, 3), truth, atol=0.05)
    assert Validation(rod.observations, rollout=False)(physics)["one_step"] < 1e-12


def test_an_epoch_gives_both_models_the_times_of_its_starts(rod, monkeypatch):
    trainer, seen = rod.hybrid(epochs=1, warmup_epochs=0, interaction=FRESH), {}
    predict, update = trainer.physical.model.rollout, trainer.physical.update

    def watch(states, steps, time=0.0):
        seen.setdefault((len(states), steps), (states, time))
        return predict(states, steps, time)

    def watch_update(alpha=1.0, synthetic=None, **keys):
        seen["targets"] = synthetic
        return update(alpha, synthetic, **keys)

    monkeypatch.setattr(trainer.physical.model, "rollout", watch)
    monkeypatch.setattr(trainer.physical, "update", watch_update)
    next(trainer.train())
    windows, fresh = trainer.synthetic.windows, trainer.models.fresh.starts
    times = windows.start_times(rod.equation.dt)
    assert torch.equal(seen[len(windows), 3][1], times)
    assert len(set(times.tolist())) == 6
    assert torch.equal(seen[5, 6][1], fresh.times)
    targets = seen["targets"]
    assert torch.equal(targets.starts[len(windows) :], fresh.states)
    assert torch.equal(targets.time, torch.cat([times, fresh.times]))


def test_residuals_of_predictions_of_later_windows_are_zero_for_the_truth(rod):
    problem = rod.hybrid().physical.problem
    starts, times = rod.states[:2, [0, 3, 5]].flatten(0, 1), torch.tensor([0.0, 0.3, 0.5] * 2, dtype=torch.float64)
    targets = torch.stack([rod.states[:2, n + 1 : n + 4] for n in (0, 3, 5)], dim=1).flatten(0, 1)
    synthetic = SyntheticTargets(starts, targets, torch.tensor([0, 3]), None, times)
    z = problem.box.start
    for points in (z[None], z.repeat(3, 1)):  # a gradient, and copies of a Jacobian
        assert float(problem.objective(points, None, 0.5, synthetic).abs().max()) < 1e-10
    there = synthetic.to(CPU)
    assert torch.equal(there.time, times)
    wrong = SyntheticTargets(starts, targets, torch.tensor([0, 3]))
    assert float(problem.objective(z[None], None, 0.5, wrong).abs().max()) > 0.01


def test_copies_that_are_filled_up_keep_their_times(rod, monkeypatch):
    forward = rod.hybrid().physical.problem.forward
    theta, times = forward.space.initial.repeat(10, 1), torch.arange(10, dtype=torch.float64) / 10
    starts = rod.states[0, :1].expand(10, -1, -1)
    expected, sizes = forward.rollout(starts, theta, 3, time=times), []
    roll_out = forward.model.rollout

    def traced(starts, values, steps, **keys):
        sizes.append((len(starts), len(keys["time"])))
        forward.stepper.execution = "traced"
        return roll_out(starts, values, steps, **keys)

    monkeypatch.setattr(forward.model, "rollout", traced)
    forward.stepper.execution = "compiled"
    found = forward.rollout_copies(starts, theta, 3, 2, time=times)
    assert sizes == [(12, 12)]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("strategy", [{}, {"alpha": "auto"}, {"sequential": True}])
def test_fresh_states_that_are_mixtures_begin_at_times_of_the_data(rod, strategy):
    mixtures = FRESH | {"source": "trajectories"}
    trainer = rod.hybrid(epochs=2, warmup_epochs=0, interaction=mixtures, **strategy)
    records = [record for _, record in trainer.train()]
    assert all(torch.isfinite(torch.tensor(record["metrics"]["synthetic_loss"])) for record in records)
    times = trainer.models.fresh.starts.times
    assert times.shape == (5,)
    assert bool((times > 0).all())
    assert bool((times < 0.7).all())


def test_draws_from_a_distribution_begin_at_zero(rod):
    interaction = FRESH | {"source": "distribution", "length_scale": 0.8, "amplitude": 1.0}
    trainer = rod.hybrid(epochs=1, warmup_epochs=0, interaction=interaction)
    next(trainer.train())
    assert torch.equal(trainer.models.fresh.starts.times, torch.zeros(5, dtype=torch.float64))


def test_a_killed_run_that_goes_on_equals_the_uninterrupted_one(rod, assert_resumable):
    def run(checkpoint, resume):
        return rod.hybrid(0.05, epochs=4, interaction=FRESH).train(checkpoint, resume)

    whole = assert_resumable(run, 1, 3)
    first, last = (record["metrics"]["estimate.diffusivity"] for _, record in (whole[0], whole[-1]))
    assert first == pytest.approx(0.05, abs=1e-9)
    assert last == pytest.approx(0.1, abs=0.03)


def test_a_corrected_step_knows_the_time(rod, assert_resumable, caplog):
    trainer = rod.hybrid(correction=True)
    synthetic = trainer.synthetic
    assert isinstance(synthetic, SyntheticTrainer)
    samples = synthetic.prepare(synthetic.window_starts(synthetic.rollout, real_alone=True))
    # Before it has learnt anything it is the physics, which is the truth here: float32 is left.
    loss = synthetic.loss(samples, 1.0, torch.arange(len(synthetic.windows)))
    assert float(loss) < 1e-10
    state, time = rod.states[:3, 4], 4 * rod.equation.dt
    assert torch.allclose(synthetic.rollout(state, 4, time), rod.states[:3, 5:], rtol=0, atol=1e-5)
    assert not torch.allclose(synthetic.rollout(state, 4), rod.states[:3, 5:], atol=0.05)

    def run(checkpoint, resume):
        return rod.hybrid(0.05, correction=True).train(checkpoint, resume)

    *_, (last, _) = assert_resumable(run, 2)
    model = model_from_bundle(final_synthetic_model(last))
    assert torch.allclose(model.rollout(state, 4, time), rod.states[:3, 5:], rtol=0, atol=0.02)
    assert "does not know" not in caplog.text
    assert unknown_time(model, rod.equation) is None


def test_a_report_says_that_a_network_does_not_know_the_time(rod, caplog):
    config = SyntheticConfig.model_validate({**SYNTHETIC, "epochs": 1, "num_predict_steps": 2})
    training = train_synthetic(rod.observations, config, 0, configuration={}, device=CPU, equation=rod.equation)
    *_, (last, _) = training
    said = "the network resnet does not know"
    assert caplog.text.count(said) == 1
    models = evaluated_models({"synthetic": final_synthetic_model(last)}, rod.equation)
    rollouts = roll_out_methods(rod.states, [3], rod.equation, models)
    worries = report("e", 0, rod.equation, "rod", rollouts, models)["warnings"]
    assert any(worry.startswith("synthetic: the step of ") and said in worry for worry in worries)
    assert caplog.text.count(said) == 1  # the training has said it


def test_unobserved_starts_and_unknown_initial_states_run_too(heated_rod, assert_resumable):
    rod = Rod(heated_rod.SECTION, space={"mode": "points", "count": 10}, noise=0.01, initial_state="full")

    def run(checkpoint, resume):
        return rod.hybrid(0.05, epochs=3, alpha="auto", interaction=FRESH).train(checkpoint, resume)

    *_, (_, last) = assert_resumable(run, 1)
    assert last["metrics"]["estimate.diffusivity"] == pytest.approx(0.1, abs=0.05)


def test_a_network_that_steps_states_is_said_not_to_know_the_time(rod, caplog):
    text = "the network resnet does not know"
    rod.hybrid()
    assert caplog.text.count(text) == 1
    caplog.clear()
    config = SyntheticConfig.model_validate(SYNTHETIC | {"epochs": 1, "num_predict_steps": 3})
    list(train_synthetic(rod.observations, config, 0, configuration={}, device=CPU, equation=rod.equation))
    assert caplog.text.count(text) == 1
    assert "synthetic.network.name mlp" in caplog.text


def test_a_network_of_coordinates_knows_the_time(heated_rod, caplog):
    rod = Rod(heated_rod.SECTION, train_sim=[0], val_sim=[])
    network = {"network": {"name": "mlp", "width": 8, "depth": 1}, "use_sliding_window": False}
    trainer = rod.hybrid(0.05, synthetic=network, num_predict_steps=8, epochs=3, alpha="auto")
    *_, (_, last) = trainer.train()
    assert "does not know" not in caplog.text
    assert last["metrics"]["estimate.diffusivity"] == pytest.approx(0.1, abs=0.05)


def test_the_times_are_in_the_checkpoint_and_those_of_earlier_ones_are_zero(rod):
    trainer = rod.hybrid(epochs=1, warmup_epochs=0, interaction=FRESH)
    next(trainer.train())
    fresh = trainer.models.fresh.starts
    state, again = fresh.state(), rod.hybrid(interaction=FRESH).models.fresh.starts
    again.load(state)
    assert torch.equal(again.times, fresh.times)
    json.dumps(state.metadata)
    again = rod.hybrid(interaction=FRESH).models.fresh.starts
    again.load(Bundle({k: v for k, v in state.tensors.items() if k != "times"}, state.metadata))
    assert torch.equal(again.times, torch.zeros(5, dtype=torch.float64))
