"""Fresh initial states: what they are made of, that they are drawn as configured, and how the hybrid uses them."""

from itertools import pairwise

import pytest
import torch

from hyco.hybrid.interaction import FreshStarts, InteractionConfig

SMALL = {"count": 5, "refresh_every": 2}


def fresh(problem, seed=0, **keys):
    config = InteractionConfig(**({"count": 40, "source": "trajectories"} | keys))
    return FreshStarts(problem.equation, problem.observations, config, seed)


def no_rollout(starts, steps):
    raise AssertionError("everything is observed: no model need fill anything")


def test_a_mixture_lies_in_every_cell_between_the_states_that_were_seen(problem):
    starts = fresh(problem, shift=False)
    states, pool = starts.draw(1, no_rollout), starts.pool.fill(no_rollout)
    assert len(pool) == 16, "every state but the last of two simulations"
    assert states.shape == (40, 1, 32)
    assert states.dtype == torch.float64
    assert (states >= pool.amin(0) - 1e-12).all()
    assert (states <= pool.amax(0) + 1e-12).all()
    assert len(states.unique(dim=0)) == 40


def test_a_shifted_mixture_stays_within_the_range_that_was_seen(problem):
    starts = fresh(problem)
    states, pool = starts.draw(1, no_rollout), starts.pool.fill(no_rollout)
    assert pool.min() - 1e-12 <= states.min() <= states.max() <= pool.max() + 1e-12


def test_a_scale_multiplies_each_mixture_by_a_number_of_its_range(problem):
    plain = fresh(problem).draw(1, no_rollout)
    scaled = fresh(problem, scale=(0.5, 2.0)).draw(1, no_rollout)
    factors = (scaled / plain).flatten(1)
    assert torch.allclose(factors, factors[:, :1].expand_as(factors))
    assert 0.5 <= factors.min() < 1 < factors.max() <= 2.0


def test_validation_and_test_simulations_are_never_mixed(make_problem):
    problem = make_problem()
    seen = problem.observations
    seen.values[seen.val] = 1e9
    seen.initial_states[seen.val] = 1e9
    assert fresh(problem).draw(1, no_rollout).abs().max() < 100


def test_what_was_not_observed_is_a_models_rollout(make_problem):
    problem = make_problem({"space": {"mode": "center", "fraction": 0.5}})
    starts = fresh(problem, shift=False)
    filled = starts.draw(1, lambda begun, steps: torch.full((len(begun), steps, 1, 32), 77.0, dtype=torch.float64))
    seen = problem.observations.mask[0, 1, 0]
    assert filled[:, 0, ~seen].max() > 60, "mostly a filled state"
    assert filled[:, 0, seen].max() < 20


def test_a_distribution_has_the_amplitude_that_is_asked_for_and_no_data(problem):
    config = {"source": "distribution", "length_scale": 0.5, "amplitude": 3.0, "count": 200}
    states = fresh(problem, **config).draw(1, no_rollout)
    assert float(states.std()) == pytest.approx(3.0, rel=0.1)
    neighbours = (states * states.roll(1, dims=-1)).mean() / states.square().mean()
    assert neighbours > 0.8, "smooth"
    with pytest.raises(ValueError, match="length_scale and amplitude"):
        InteractionConfig(source="distribution", amplitude=1.0)


def test_states_are_drawn_anew_every_few_epochs_and_are_those_of_the_seed(problem):
    one, other = fresh(problem, refresh_every=3), fresh(problem, refresh_every=3)
    first = one.draw(4, no_rollout)
    assert one.draw(6, no_rollout) is first
    second = one.draw(7, no_rollout)
    assert not torch.equal(first, second)
    assert torch.equal(other.draw(4, no_rollout), first)
    resumed = fresh(problem, refresh_every=3)
    resumed.load(other.state())
    assert torch.equal(resumed.draw(6, no_rollout), first)
    assert torch.equal(resumed.draw(7, no_rollout), second)
    assert not torch.equal(fresh(problem, seed=1).draw(4, no_rollout), first)


def test_fresh_windows_are_windows_of_the_trajectories(problem):
    trainer = problem.hybrid(epochs=1, interaction={"batch_size": 3}).synthetic
    # State = 100 · trajectory + time, so that one can see where a window is from.
    trajectories = 100 * torch.arange(7)[:, None] + torch.arange(10)
    fresh = trajectories[..., None, None].float().expand(7, 10, 1, 32)
    updates = list(trainer.batches.updates(fresh, 4))
    windows = torch.cat([fresh[:, :, 0, 0] for _, fresh in updates])
    # 9 steps hold two windows of 4: 14 windows in batches of 3.
    assert [len(fresh) for _, fresh in updates] == [3, 3, 3, 3, 2]
    assert (windows.diff(dim=1) == 1).all(), "consecutive states of one trajectory"
    assert (windows // 100).eq(windows[:, :1] // 100).all()
    assert sorted((windows[:, 0] // 100).int().tolist()) == sorted(list(range(7)) * 2)
    assert (windows[:, 0] % 100).max() <= 5
    # And one pass over all real windows, in batches of two, at least.
    real = torch.cat([which for which, _ in updates])
    assert set(real.tolist()) == set(range(len(trainer.windows)))


def test_the_network_learns_from_the_physics_rollouts_of_these_states(problem, monkeypatch):
    """They are the physical model's of this epoch: redrawn when due, rolled out again when its parameters changed."""
    trainer = problem.hybrid(epochs=4, warmup_epochs=0, interleave_frequency=2, interaction=SMALL | {"steps": 6})
    seen, epoch = [], trainer.synthetic.epoch

    def watch(number, samples, alpha):
        states = trainer.models.fresh.starts.states
        expected = torch.cat([states[:, None], trainer.physical.model.rollout(states, 6)], dim=1)
        assert torch.equal(samples.fresh, trainer.synthetic.normalise(expected))
        seen.append((states, trainer.physical.model.values["viscosity"]))
        return epoch(number, samples, alpha)

    monkeypatch.setattr(trainer.synthetic, "epoch", watch)
    list(trainer.train())
    assert [one[0] is other[0] for one, other in pairwise(seen)] == [True, False, True]
    assert seen[1][1] != seen[2][1]


def test_the_physics_is_held_against_the_networks_predictions_from_these_states(problem, monkeypatch):
    trainer = problem.hybrid(epochs=1, warmup_epochs=0, interaction=SMALL)
    seen, update = [], trainer.physical.update

    def watch(alpha, interaction):
        seen.append(interaction)
        return update(alpha, interaction)

    monkeypatch.setattr(trainer.physical, "update", watch)
    list(trainer.train())
    (interaction,) = seen
    windows = len(trainer.synthetic.windows)
    assert torch.equal(interaction.starts[windows:], trainer.models.fresh.starts.states)
    rolled = trainer.synthetic.rollout(interaction.starts, 4)
    assert torch.allclose(interaction.targets, rolled, atol=1e-5)


def test_trajectories_that_are_not_finite_are_left_out(problem, monkeypatch, caplog):
    trainer = problem.hybrid(epochs=1, warmup_epochs=0, interaction=SMALL)
    predict = trainer.physical.model.rollout

    def broken(starts, steps, time=0.0):
        states = predict(starts, steps, time)
        if len(starts) == 5:
            states[1] = torch.nan
        return states

    monkeypatch.setattr(trainer.physical.model, "rollout", broken)
    ((_, record),) = trainer.train()
    assert "1 of the fresh starts are left out" in caplog.text
    assert record["metrics"]["synthetic_skipped"] == 0
    assert record["metrics"]["synthetic_loss"] is not None


@pytest.mark.parametrize("source", [pytest.param("trajectories", marks=pytest.mark.slow), "distribution"])
def test_a_killed_run_with_fresh_states_resumes_to_the_bit(problem, assert_resumable, source):
    known = {"length_scale": 0.8, "amplitude": 1.0} if source == "distribution" else {}
    interaction = SMALL | {"source": source, "steps": 5} | known

    def run(checkpoint, resume):
        trainer = problem.hybrid(epochs=4, warmup_epochs=1, interaction=interaction)
        return trainer.train(checkpoint, resume)

    # Drawn in the second epoch and in the fourth: killed between, with the next draw still to come.
    assert_resumable(run, 2)


@pytest.mark.parametrize("source", ["estimated", "trajectories"])
def test_fresh_states_have_values_that_their_fields_may_have(problem, monkeypatch, source):
    monkeypatch.setattr(problem.equation, "admissible", lambda states: states.clamp_min(-0.1))
    states = fresh(problem, count=20, source=source).draw(1, no_rollout)
    assert states.min() == -0.1
