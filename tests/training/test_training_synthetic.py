"""Training of the network alone: it learns, it is repeatable, and bad numbers do not reach the optimiser."""

import math
import re
import shutil

import pytest
import torch

from hyco.networks import line_convolution, padding
from hyco.networks.network import NETWORKS
from hyco.training.config import Curriculum
from hyco.training.final import final_synthetic_model
from hyco.training.finite import DeadNetworkError
from hyco.training.synthetic import train_synthetic
from hyco.training.trainer import SyntheticTrainer

CPU = torch.device("cpu")


def trainer(problem, epochs=1, **changes):
    config = problem.synthetic(**changes)
    return SyntheticTrainer(
        problem.observations, config, 0, num_predict_steps=config.num_predict_steps, epochs=epochs, device=CPU
    )


def small_network(name):
    keys = {"unet": {"filters": 4, "levels": 1}, "pseudospectral": {"substeps": 2}}
    return {"name": name, **keys.get(name, {"filters": 4, "blocks": 1})}


def train(problem, **changes):
    return list(training(problem, **changes))


def training(problem, **changes):
    config = problem.synthetic(**changes)
    return train_synthetic(problem.observations, config, 0, configuration={}, device=CPU)


def runs(problem, config):
    """Makes a new training from `checkpoint` and `resume`."""

    def run(checkpoint, resume):
        return train_synthetic(
            problem.observations, config, 0, configuration={}, device=CPU, checkpoint=checkpoint, resume=resume
        )

    return run


def test_a_network_that_asks_for_it_is_told_what_it_is_to_learn_from(make_problem):
    problem = make_problem({"train_sim": [0], "val_sim": [], "noise": 0.0})
    model = trainer(problem, network={"name": "pseudospectral"}).model
    seen = problem.observations
    mean, std = seen.statistics()
    values = ((seen.values[seen.train].movedim(2, -1).reshape(-1, len(mean)) - mean) / std).float()
    assert model.network.gain.tolist() == pytest.approx((std / model.change_std.flatten()).tolist())
    assert model.network.bound.flatten().tolist() == pytest.approx((10 * values.abs().amax(dim=0)).tolist())
    combined = model.network.basis @ model.network._monomials(values.T[None])[0]
    torch.testing.assert_close(combined @ combined.T / len(values), torch.eye(len(combined)), atol=1e-3, rtol=0)
    again = type(model).from_bundle(model.to_bundle())
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_network_overfits_one_batch(make_problem):
    problem = make_problem({"train_sim": [0], "val_sim": [], "noise": 0.0})
    changes = {"num_predict_steps": 2, "batch_size": 16, "learning_rate": 1e-2, "use_sliding_window": True}
    losses = [r["metrics"]["synthetic_loss"] for _, r in train(problem, epochs=300, **changes)]
    assert losses[-1] < 5e-3 * losses[0]


@pytest.mark.parametrize("name", [name for name in NETWORKS.built_in if NETWORKS.load(name).config_class.stepping])
def test_every_network_trains_and_its_size_is_told_once(problem, name, caplog):
    small = small_network(name)
    with caplog.at_level("INFO"):
        steps = train(problem, epochs=3, learning_rate=1e-2, network=small)
    losses = [record["metrics"]["synthetic_loss"] for _, record in steps]
    assert losses[-1] < losses[0]
    (line,) = [m for m in caplog.messages if m.startswith("Network")]
    assert re.fullmatch(rf"Network {name}: \d{{1,3}}( \d{{3}})* weights\.", line)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("scheduler", ["constant", "cosine", "exponential", "step"])
def test_every_optimiser_and_schedule_lowers_the_loss(problem, optimizer, scheduler):
    rate = 0.05 if optimizer == "sgd" else 3e-3
    changes = {"optimizer": optimizer, "scheduler": scheduler, "learning_rate": rate, "weight_decay": 1e-5}
    losses = [r["metrics"]["synthetic_loss"] for _, r in train(problem, epochs=5, **changes)]
    assert losses[-1] < losses[0]


def test_a_loss_that_is_not_finite_never_reaches_the_optimiser(problem, caplog):
    model = trainer(problem)
    before = [p.clone() for p in model.model.parameters()]
    metrics = model.epoch(1, model.prepare(torch.full_like(model.starts.fill(model.rollout), torch.nan)))
    assert math.isnan(metrics["synthetic_loss"])
    assert metrics["synthetic_skipped"] > 0
    assert "were skipped" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(before, model.model.parameters(), strict=True))


@pytest.mark.parametrize(("factor", "name"), [(math.inf, "the loss"), (1.0, "the gradient of")])
def test_a_training_without_updates_names_what_is_not_finite(problem, factor, name):
    model = trainer(problem, rate_reductions=0)
    *_, last = model.model.parameters()
    root = last.square().sum()
    without_slope = (root - root.detach()).clamp_min(0).sqrt()  # 0 · ∞
    loss = factor * sum(weight.square().sum() for weight in model.model.parameters()) + without_slope
    with pytest.raises(DeadNetworkError, match=f"epoch 1: no update .*: {name}"):
        model.optimisation.epoch(1, iter([loss]))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_an_update_with_a_gradient_that_is_not_finite_is_left_out_as_if_it_had_not_been(problem, optimizer):
    """State of the optimiser and weights are those of the other updates alone; no clipping is asked for."""
    found, parts = [], [1.0, math.inf, -2.0]
    for taken in (parts, [part for part in parts if math.isfinite(part)]):
        model = trainer(problem, optimizer=optimizer, weight_decay=0.1, gradient_clip=None)

        def losses(model=model, taken=taken):
            for part in taken:
                # 0 · ∞: the value is finite, its gradient is not.
                square = sum(p.square().sum() for p in model.model.parameters())
                yield part * square if math.isfinite(part) else square + (square - square.detach()).clamp_min(0).sqrt()

        metrics = model.optimisation.epoch(1, losses())
        assert metrics["synthetic_skipped"] == len(taken) - 2
        assert math.isfinite(metrics["synthetic_loss"])
        state = model.optimisation.optimizer.tensors()
        found.append([*model.model.parameters(), *(state[key] for key in sorted(state))])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    "observation",
    [{}, pytest.param({"space": {"mode": "points", "count": 9}}, marks=pytest.mark.slow)],
    ids=["grid", "points"],
)
@pytest.mark.parametrize("predicted", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_no_update_waits_for_the_device(make_problem, on_device, observation, predicted):
    problem = make_problem(observation)
    model = trainer(problem, curriculum={"start": 2, "epochs": 3}, num_predict_steps=4, ema_decay=0.9)
    starts = model.starts.fill(model.rollout)
    physical = torch.zeros(len(starts), 4, *starts.shape[1:]) if predicted else None
    samples = model.prepare(starts, physical)
    there = [*model.model.parameters(), *model.model.buffers(), model.data.values, model.data.mask, samples.starts]
    averaged = model.optimisation.averaged
    there += [*averaged.parameters(), *averaged.buffers()]
    there += [] if physical is None else [samples.physical]
    with on_device(there) as device:
        assert math.isfinite(model.epoch(1, samples, 0.5)["synthetic_loss"])
        assert device.waits == 0
        # The count itself works: one read in each update.
        model.watch(lambda: float(next(model.model.parameters()).detach().sum()))
        model.epoch(2, samples, 0.5)
        assert device.waits == math.ceil(len(starts) / model.config.batch_size) > 1


def test_gradients_are_clipped_to_the_norm_that_is_asked_for(problem, monkeypatch):
    norms = []
    clip = torch.nn.utils.clip_grad_norm_

    def watch(parameters, largest):
        parameters = list(parameters)
        found = clip(parameters, largest)
        norms.append(float(torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in parameters]))))
        return found

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watch)
    model = trainer(problem, gradient_clip=1e-3)
    model.epoch(1, model.prepare(model.starts.fill(model.rollout)))
    assert norms
    assert max(norms) <= 1e-3 * 1.001


def test_the_final_model_is_the_one_that_validated_best(problem):
    steps = train(problem, epochs=6)
    scores = [r["metrics"]["validation_synthetic"] for _, r in steps]
    final = final_synthetic_model(steps[-1][0])
    assert final.metadata["epoch"] == 1 + min(range(6), key=scores.__getitem__)
    assert steps[-1][0].metadata["is_best"] == (scores[-1] == min(scores))


def test_without_validation_the_final_model_is_the_last(make_problem):
    problem = make_problem({"val_sim": []})
    steps = train(problem, epochs=2)
    assert final_synthetic_model(steps[-1][0]).metadata["epoch"] == 2
    assert "validation_synthetic" not in steps[-1][1]["metrics"]


def test_another_seed_gives_another_network_and_the_same_seed_the_same(problem):
    config = problem.synthetic(epochs=1)
    weights = []
    for seed in (0, 0, 1):
        *_, (last, _) = train_synthetic(problem.observations, config, seed, configuration={}, device=CPU)
        weights.append(_all(last))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def _all(checkpoint):
    return torch.cat([v.flatten().double() for k, v in checkpoint.tensors.items() if "/weights/network" in k])


def test_a_killed_training_resumes_to_the_same_weights(problem):
    config = problem.synthetic(epochs=4)

    def run(**resume):
        return list(train_synthetic(problem.observations, config, 0, configuration={}, device=CPU, **resume))

    whole = run()
    resumed = run(checkpoint=whole[1][0], resume=True)
    assert [r["metrics"] for _, r in resumed] == [r["metrics"] for _, r in whole[1:]]
    assert torch.equal(_all(resumed[-1][0]), _all(whole[-1][0]))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_training_that_goes_on_with_other_convolutions_says_so_and_differs_by_rounding(problem, monkeypatch, caplog):
    """As after a compiler was taken away; the checkpoint and the weights in it serve both."""
    config = problem.synthetic(epochs=4)
    whole = list(runs(problem, config)(None, False))
    with caplog.at_level("INFO"):
        list(runs(problem, config)(whole[1][0], True))
        assert "convolutions" not in caplog.text
        for module in (line_convolution, padding):
            monkeypatch.setattr(module, "library", lambda: None)
        *_, (last, _) = runs(problem, config)(whole[1][0], True)
    assert "convolutions were hyco's own code and are torch's from here on" in caplog.text
    assert whole[-1][0].metadata["synthetic"]["own_convolutions"]
    assert not last.metadata["synthetic"]["own_convolutions"]
    torch.testing.assert_close(_all(last), _all(whole[-1][0]), rtol=1e-3, atol=1e-4)


POINTS = [
    {"mode": "samples", "count": 120},
    {"mode": "samples", "count": 120, "at": "anywhere"},
    {"mode": "moving", "count": 15, "path": {"x": "x0 + t"}},
]


@pytest.mark.slow
@pytest.mark.parametrize("space", POINTS)
def test_samples_and_moving_sensors_train_the_network_where_they_look(make_problem, space):
    problem = make_problem({"space": space})
    history = [r["metrics"] for _, r in train(problem, epochs=40, learning_rate=1e-2)]
    assert history[-1]["synthetic_loss"] < 0.5 * history[0]["synthetic_loss"]
    assert history[-1]["validation_synthetic"] < history[0]["validation_synthetic"]


@pytest.mark.parametrize("space", POINTS)
def test_the_loss_of_a_perfect_network_is_the_noise(make_problem, space):
    problem = make_problem({"space": space, "noise": 0.05})
    model = trainer(problem)
    samples = model.prepare(model.starts.fill(model.rollout))
    truth = problem.trajectories.tensors["trajectories"][problem.observations.train]
    model.model.rollout_normalised = lambda starts, steps, **_: model.windows.targets(model.model.normalise(truth))
    loss = model.loss(samples, 1.0, torch.arange(len(model.windows)))
    _, std = problem.observations.statistics()
    expected = float((problem.observations.noise_std / std).square().mean())
    assert float(loss) == pytest.approx(expected, rel=0.35)


@pytest.mark.parametrize("initial", ["full", pytest.param("observed", marks=pytest.mark.slow)])
@pytest.mark.parametrize("space", [{"mode": "points", "count": 12}, pytest.param(POINTS[1], marks=pytest.mark.slow)])
def test_the_network_trains_without_knowing_the_initial_states(make_problem, space, initial):
    problem = make_problem({"space": space, "initial_state": initial})
    history = [r["metrics"] for _, r in train(problem, epochs=20, learning_rate=1e-2)]
    assert history[-1]["synthetic_loss"] < 0.7 * history[0]["synthetic_loss"]
    kinds = {key for key in history[0] if key.startswith("validation")}
    one_step = {"validation_synthetic_one_step"} if initial == "full" else set()
    assert kinds == {"validation_synthetic", "validation_synthetic_rollout"} | one_step


def test_padding_does_not_count_in_the_loss():
    from hyco.fields import FieldSpec, Layout
    from hyco.grid import Grid
    from hyco.observations import ObservationConfig, observe
    from hyco.runtime.storage import Bundle
    from hyco.training.config import SyntheticConfig

    where = Layout(Grid(("x", "y"), (0.0, 0.0), (1.0, 1.0), (6, 4)), (FieldSpec("u", ("x", "y"), staggered=True),))
    states = torch.randn(1, 3, 2, 7, 5, dtype=torch.float64) * where.valid
    bundle = Bundle({"trajectories": states}, {"layout": where.to_dict(), "dt": 0.1})
    seen = observe(bundle, ObservationConfig(train_sim=[0]), 0)
    config = SyntheticConfig(network={"name": "resnet", "filters": 4, "blocks": 1})
    model = SyntheticTrainer(seen, config, 0, num_predict_steps=2, epochs=1, device=CPU)
    starts = model.starts.fill(model.rollout)
    rolled = model.rollout(starts, 2)
    samples = model.prepare(starts, rolled + where.valid)
    loss = model.loss(samples, 0.0, torch.arange(1))
    _, std = seen.statistics()
    # Off by one in every entry, and in nothing else.
    assert float(loss.detach()) == pytest.approx(float(std.pow(-2).mean()), rel=1e-5)


def weights_after_an_epoch(problem, **changes):
    model = trainer(problem, **changes)
    metrics = model.epoch(1, model.prepare(model.starts.fill(model.rollout)))
    return model, metrics, torch.cat([p.detach().flatten() for p in model.model.parameters()])


def test_gradient_checkpointing_gives_the_same_weights(problem):
    _, _, plain = weights_after_an_epoch(problem)
    _, _, recomputed = weights_after_an_epoch(problem, gradient_checkpointing=True)
    assert torch.allclose(plain, recomputed, rtol=0, atol=1e-7)


def test_with_one_step_of_backpropagation_the_gradient_is_that_of_single_steps(problem):
    model = trainer(problem, backpropagation_steps=1)
    samples = model.prepare(model.starts.fill(model.rollout))
    which = torch.arange(len(model.windows))
    network = list(model.model.parameters())
    found = torch.autograd.grad(model.loss(samples, 1.0, which), network)
    # The same states, each reached by one step from a state that is held fixed.
    with torch.no_grad():
        states = model.model.rollout_normalised(samples.starts, 4)
    before = torch.cat([samples.starts[:, None], states[:, :-1]], dim=1)
    single = model.model.rollout_normalised(before.flatten(0, 1), 1).reshape(states.shape)
    expected = torch.autograd.grad((single - model.windows.targets(model.data.values)).square().mean(), network)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
    other = trainer(problem)
    whole = torch.autograd.grad(other.loss(samples, 1.0, which), list(other.model.parameters()))
    assert not all(torch.allclose(one, w, rtol=1e-4) for one, w in zip(found, whole, strict=True))


def test_bfloat16_trains_and_the_state_stays_float32(problem, monkeypatch):
    seen = set()
    model = trainer(problem, epochs=1, precision="bfloat16")
    inside = model.model.network.forward

    def watch(state):
        found = inside(state)
        seen.add((state.dtype, found.dtype))
        return found

    monkeypatch.setattr(model.model.network, "forward", watch)
    states = model.training_rollout(model.normalise(model.starts.fill(model.rollout)), 2)
    assert states.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in model.model.parameters())
    assert (torch.float32, torch.bfloat16) in seen, "the network itself works in bfloat16"
    losses = [r["metrics"]["synthetic_loss"] for _, r in train(problem, epochs=8, precision="bfloat16")]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", [name for name in NETWORKS.built_in if NETWORKS.load(name).config_class.stepping])
def test_every_network_has_a_gradient_in_bfloat16(problem, name):
    small = small_network(name)
    plain, mixed = trainer(problem, network=small), trainer(problem, network=small, precision="bfloat16")
    starts = plain.normalise(problem.observations.initial_states)
    gradients = []
    for model in (plain, mixed):
        # The last layer starts at zero, and with it all other gradients.
        torch.nn.init.normal_(list(model.model.parameters())[-2], std=0.1, generator=torch.Generator().manual_seed(0))
        loss = model.training_rollout(starts, 2).square().mean()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.model.parameters()))]))
    assert torch.isfinite(gradients[1]).all()
    assert float((gradients[1] - gradients[0]).norm() / gradients[0].norm()) < 0.1


def test_a_curriculum_rises_from_its_start_to_the_whole_length(problem, monkeypatch):
    curriculum = Curriculum(start=2, epochs=5)
    assert [curriculum.length(epoch, 6) for epoch in (1, 2, 3, 4, 5, 9)] == [2, 3, 4, 5, 6, 6]
    assert Curriculum(start=9, epochs=5).length(1, 4) == 4
    lengths, roll_out = [], SyntheticTrainer.training_rollout

    def watch(self, starts, length, time):
        lengths.append(length)
        return roll_out(self, starts, length, time)

    monkeypatch.setattr(SyntheticTrainer, "training_rollout", watch)
    train(problem, epochs=3, batch_size=16, curriculum={"start": 1, "epochs": 3})
    assert lengths == [1, 2, 4]


def test_rollouts_too_short_to_see_anything_are_reported(make_problem, caplog):
    problem = make_problem({"time": {"mode": "endpoints"}})
    changes = {"num_predict_steps": 8, "curriculum": {"start": 2, "epochs": 2}}
    first, second = (r["metrics"] for _, r in train(problem, epochs=2, **changes))
    assert "Epoch 1: nothing is observed in the training rollouts" in caplog.text
    assert first["synthetic_loss"] is None
    assert second["synthetic_loss"] > 0


def test_input_noise_has_its_standard_deviation_and_is_in_training_alone(problem, monkeypatch):
    model = trainer(problem, input_noise=0.3, batch_size=16)
    starts = model.normalise(model.starts.fill(model.rollout)).repeat(20, 1, 1)
    monkeypatch.setattr(model.model, "rollout_normalised", lambda states, steps, **_: states[:, None])
    noise = model.training_rollout(starts, 1)[:, 0] - starts
    assert float(noise.std()) == pytest.approx(0.3, rel=0.05)
    plain, noisy = trainer(problem), trainer(problem, input_noise=0.3)
    begun = problem.observations.initial_states
    assert torch.equal(plain.rollout(begun, 2), noisy.rollout(begun, 2))


def test_averaged_weights_predict_validate_and_are_final(problem):
    model, _, current = weights_after_an_epoch(problem, ema_decay=0.9)
    averaged = torch.cat([p.detach().flatten() for p in model.predictor.parameters()])
    assert not torch.equal(averaged, current)
    begun = problem.observations.initial_states
    assert torch.equal(model.rollout(begun, 2), model.predictor.rollout(begun, 2))
    assert not torch.equal(model.rollout(begun, 2), model.model.rollout(begun, 2))
    *_, (last, _) = train(problem, epochs=1, ema_decay=0.9)
    final = final_synthetic_model(last)
    for name, value in final.tensors.items():
        assert torch.equal(value, last.tensors[f"synthetic/average/module.{name}"]), name


@pytest.mark.parametrize("changes", [{"learning_rate": 1e30}, {"learning_rate": 1e3, "weight_decay": 1e30}], ids=str)
def test_a_network_that_dies_ends_the_training_with_finite_checkpoints(problem, changes):
    steps = training(problem, epochs=20, scheduler="constant", gradient_clip=None, **changes)
    checkpoints = []
    with pytest.raises(DeadNetworkError, match=r"epoch \d+: .*learning rate \d"):
        checkpoints.extend(checkpoint for checkpoint, _ in steps)
    for checkpoint in checkpoints:
        assert all(t.isfinite().all() for t in checkpoint.tensors.values())


def test_updates_that_are_left_out_do_not_move_the_average(problem):
    model = trainer(problem, ema_decay=0.5)
    begun = model.starts.fill(model.rollout)
    for finite in (False, True, False):
        before = [p.clone() for p in model.predictor.parameters()]
        metrics = model.epoch(1, model.prepare(begun if finite else torch.full_like(begun, torch.nan)))
        assert (metrics["synthetic_skipped"] > 0) == (not finite)
        stayed = all(torch.equal(a, b) for a, b in zip(before, model.predictor.parameters(), strict=True))
        assert stayed != finite


def test_early_stopping_ends_the_training_and_a_finished_run_stays_finished(problem):
    changes = {"learning_rate": 1e-12, "early_stopping": 2, "epochs": 9, "scheduler": "constant"}
    config = problem.synthetic(**changes)
    steps = train(problem, **changes)
    scores = [r["metrics"]["validation_synthetic"] for _, r in steps]
    best = 1 + min(range(len(scores)), key=scores.__getitem__)
    assert len(steps) < 9
    assert steps[-1][0].metadata["finished"]
    assert len(steps) >= best + 2
    again = train_synthetic(
        problem.observations, config, 0, configuration={}, device=CPU, checkpoint=steps[-1][0], resume=True
    )
    assert len(list(again)) == 1


def test_a_killed_training_with_every_option_resumes_to_the_bit(problem, assert_resumable):
    config = problem.synthetic(
        epochs=3,
        ema_decay=0.9,
        input_noise=0.1,
        curriculum={"start": 1, "epochs": 3},
        backpropagation_steps=2,
        gradient_checkpointing=True,
        precision="bfloat16",
        early_stopping=3,
    )
    assert_resumable(runs(problem, config), 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        {"name": "resnet", "filters": 6, "blocks": 1},
        {"name": "unet", "filters": 4},
    ],
)
def test_a_killed_training_in_two_dimensions_resumes_to_the_bit(make_problem, assert_resumable, network):
    """The weights, and the optimiser's state, are not in the order of their dimensions in memory."""
    domain = {"x": {"size": 4.0, "resolution": 16}, "y": {"size": 3.0, "resolution": 12}}
    problem = make_problem(equation={"domain": domain})
    config = problem.synthetic(epochs=4, network=network, ema_decay=0.9, weight_decay=1e-3, optimizer="adamw")
    model = trainer(problem, network=network).model
    assert not all(weights.is_contiguous() for weights in model.parameters())
    assert_resumable(runs(problem, config), 1, 3)


def test_windows_that_teach_nothing_are_not_filled_for_real_data_alone(make_problem):
    """The first two states are measured: windows that start at the fourth are for predictions of the physics."""
    problem = make_problem({"time": {"mode": "custom", "indices": [0, 2]}})
    found, asked = [], []

    def predict(states, steps):
        asked.append(steps)
        return torch.ones(len(states), steps, *states.shape[1:])

    for real_alone in (True, False):
        model = trainer(problem)
        found.append(model.epoch(1, model.prepare(model.window_starts(predict, real_alone=real_alone))))
    assert asked == [4], "for predictions only"
    assert found[0] == found[1]
