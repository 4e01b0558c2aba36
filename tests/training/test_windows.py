"""Training windows: where they start, what they predict, and how unobserved starts are filled."""

import pytest
import torch

from hyco.training.windows import Windows, WindowStarts


def test_windows_follow_one_another_or_slide(problem):
    apart = Windows.of(problem.observations, 4, sliding=False)
    assert apart.time.tolist() == [0, 4, 0, 4]
    assert apart.simulation.tolist() == [0, 0, 1, 1]
    sliding = Windows.of(problem.observations, 4, sliding=True)
    assert sliding.time.tolist() == [0, 1, 2, 3, 4] * 2
    assert sliding.initial.nonzero().flatten().tolist() == [0, 5]


def test_targets_are_the_states_after_the_start(problem):
    values = problem.observations.values[problem.observations.train]
    windows = Windows.of(problem.observations, 3, sliding=True)
    which = torch.tensor([4, 7])
    targets = windows.targets(values, which)
    for row, i in zip(targets, which.tolist(), strict=True):
        s, t = int(windows.simulation[i]), int(windows.time[i])
        assert torch.equal(row, values[s, t + 1 : t + 4])
        assert torch.equal(windows.starts(values, torch.tensor([i]))[0], values[s, t])


def test_a_window_longer_than_the_trajectory_is_refused(problem):
    with pytest.raises(ValueError, match=r"num_predict_steps is 9, but generation\.steps is only 8"):
        Windows.of(problem.observations, 9, sliding=False)


def test_fully_observed_starts_are_the_observed_states_and_no_model_is_asked(problem):
    windows = Windows.of(problem.observations, 4, sliding=True)
    starts = WindowStarts(problem.observations, windows)

    def never(*_):
        raise AssertionError

    filled = starts.fill(never)
    values, _ = problem.observations.training_states()
    assert torch.equal(filled, windows.starts(values))
    assert torch.equal(filled[0], problem.observations.initial_states[0]), "the exact state at t = 0"


def test_unobserved_parts_of_a_start_come_from_the_models_own_rollout(make_problem):
    problem = make_problem({"space": {"mode": "points", "count": 10}})
    windows = Windows.of(problem.observations, 4, sliding=False)
    starts = WindowStarts(problem.observations, windows)
    marked = lambda states, steps: torch.full((states.shape[0], steps, *states.shape[1:]), 77.0)  # noqa: E731
    filled = starts.fill(marked)
    mask = problem.observations.mask[problem.observations.train[0], 4]
    later = filled[1]
    assert torch.equal(later[mask], problem.observations.values[problem.observations.train[0], 4][mask])
    assert (later[~mask] == 77.0).all()
    assert torch.equal(filled[0], problem.observations.initial_states[0])


def test_only_the_starts_of_windows_that_matter_are_filled(make_problem):
    """With a rollout as long as they need; the others are left as they are."""
    problem = make_problem({"space": {"mode": "points", "count": 10}})
    windows = Windows.of(problem.observations, 4, sliding=True)
    starts, asked = WindowStarts(problem.observations, windows), []

    def counted(states, steps):
        asked.append(steps)
        return 100.0 * torch.arange(1, steps + 1).reshape(1, -1, 1, 1) + states[:, None]

    everything = starts.fill(counted)
    early = windows.time <= 2
    some = starts.fill(counted, early)
    none = starts.fill(counted, windows.initial)
    assert asked == [4, 2]
    assert torch.equal(some[early], everything[early])
    assert (some[~early] < 50).all()
    assert (everything[~early] > 50).any()
    assert torch.equal(none[~early], some[~early])


def test_the_hidden_truth_fills_starts_only_where_it_is_asked_for(make_problem):
    problem = make_problem({"space": {"mode": "points", "count": 10}, "window_start": "truth"})
    windows = Windows.of(problem.observations, 4, sliding=False)
    filled = WindowStarts(problem.observations, windows).fill(lambda *_: None)
    truth = problem.trajectories.tensors["trajectories"]
    assert torch.equal(filled[1], truth[0, 4])
    assert torch.equal(filled[3], truth[1, 4])


ANYWHERE = {"mode": "samples", "count": 60, "at": "anywhere"}


def test_windows_of_point_measurements_start_from_the_initial_state_and_a_rollout(make_problem):
    problem = make_problem({"space": ANYWHERE})
    windows = Windows.of(problem.observations, 4, sliding=False)
    filled = WindowStarts(problem.observations, windows).fill(
        lambda states, steps: torch.full((states.shape[0], steps, *states.shape[1:]), 77.0)
    )
    assert torch.equal(filled[0], problem.observations.initial_states[0])
    assert (filled[1] == 77.0).all()


@pytest.mark.parametrize(
    "space",
    [
        {"mode": "full"},
        pytest.param({"mode": "points", "count": 10}, marks=pytest.mark.slow),
        pytest.param(ANYWHERE, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("initial", ["full", pytest.param("observed", marks=pytest.mark.slow)])
def test_windows_start_from_what_is_known_of_the_initial_state_until_it_is_known_better(make_problem, space, initial):
    problem = make_problem({"space": space, "initial_state": initial})
    windows = Windows.of(problem.observations, 4, sliding=False)
    starts = WindowStarts(problem.observations, windows)
    hold = lambda states, steps: states[:, None].expand(-1, steps, *states.shape[1:])  # noqa: E731
    measured = starts.fill(hold)
    assert torch.equal(measured[windows.initial], problem.observations.initial_states[problem.observations.train])
    better = torch.full_like(starts.initial_states, 55.0)
    starts.set_initial(better)
    filled = starts.fill(hold)
    assert torch.equal(filled[windows.initial], better)
    later = problem.observations.mask[problem.observations.train, 4]
    if space["mode"] != "full":
        assert (filled[~windows.initial][~later] == 55.0).all() if problem.observations.on_grid else True
    assert (measured != 55.0).all(), "what was given out before is not changed"


def test_padding_is_not_filled():
    from hyco.fields import FieldSpec, Layout
    from hyco.grid import Grid
    from hyco.observations import ObservationConfig, observe
    from hyco.runtime.storage import Bundle

    where = Layout(Grid(("x", "y"), (0.0, 0.0), (1.0, 1.0), (6, 4)), (FieldSpec("u", ("x", "y"), staggered=True),))
    states = torch.randn(2, 5, 2, 7, 5, dtype=torch.float64) * where.valid
    config = ObservationConfig(train_sim=[0], val_sim=[1], noise=0.1)
    seen = observe(Bundle({"trajectories": states}, {"layout": where.to_dict(), "dt": 0.1}), config, 0)
    starts = WindowStarts(seen, Windows.of(seen, 2, sliding=False))
    assert starts.complete
    assert (starts.fill(None)[:, ~where.valid] == 0).all()
