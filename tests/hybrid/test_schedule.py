"""When the physical model is updated."""

from types import SimpleNamespace

from hyco.hybrid.schedule import AdaptiveInterleave, UpdateSchedule


def test_the_interval_of_an_adaptive_schedule_doubles_and_comes_back():
    adaptive = AdaptiveInterleave(enabled=True, min_improvement=0.1, max_frequency=5)
    assert adaptive.next_interval(1, 1, 1.0, 0.99) == 2
    assert adaptive.next_interval(4, 1, 1.0, 0.99) == 5
    assert adaptive.next_interval(4, 1, 1.0, 0.5) == 1
    assert AdaptiveInterleave().next_interval(8, 3, 1.0, 1.0) == 3


def updated(schedule, epochs, gains):
    """Epochs with an update, each of which lowers a loss of 1 by the next of the gains."""
    done, gains = [], iter(gains)
    for epoch in range(1, epochs + 1):
        if schedule.due(epoch):
            done.append(epoch)
            schedule.plan_next(epoch, SimpleNamespace(initial_value=1.0, value=1 - next(gains)))
    return done


def test_updates_come_at_a_fixed_interval_after_the_warm_up():
    schedule = UpdateSchedule(1, 2, AdaptiveInterleave())
    assert updated(schedule, 8, [0.0] * 4) == [3, 5, 7]


def test_an_adaptive_interval_doubles_while_nothing_is_gained_and_is_restored_by_a_gain():
    schedule = UpdateSchedule(0, 2, AdaptiveInterleave(enabled=True, max_frequency=6))
    assert updated(schedule, 27, [0.0, 0.0, 0.0, 0.5, 0.0, 0.0]) == [2, 6, 12, 18, 20, 24]


def test_an_update_that_was_taken_back_gained_nothing():
    schedule = UpdateSchedule(0, 1, AdaptiveInterleave(enabled=True))
    schedule.plan_next(1, None)
    assert [schedule.due(epoch) for epoch in (2, 3)] == [False, True]


def test_a_schedule_that_is_loaded_goes_on_as_the_saved_one():
    one, other = (UpdateSchedule(0, 2, AdaptiveInterleave(enabled=True)) for _ in range(2))
    updated(one, 8, [0.0, 0.0])
    other.load(one.state())
    assert [one.due(epoch) for epoch in range(9, 20)] == [other.due(epoch) for epoch in range(9, 20)]
