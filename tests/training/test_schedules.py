"""Schedules as functions of the epoch."""

import pytest

from hyco.training.schedules import AdaptiveInterleave, SchedulerConfig


def test_schedules_start_at_one_and_end_where_they_say():
    cosine = SchedulerConfig(name="cosine", final=0.1)
    assert cosine.factor(1, 10) == 1.0
    assert cosine.factor(10, 10) == pytest.approx(0.1)
    assert SchedulerConfig(name="exponential", decay=0.5).factor(3, 10) == 0.25
    assert [SchedulerConfig(name="step", decay=0.5, every=2).factor(e, 9) for e in (1, 2, 3, 5)] == [1, 1, 0.5, 0.25]
    assert SchedulerConfig(name="constant").factor(7, 10) == 1.0
    assert cosine.factor(1, 1) == 1.0


def test_the_interval_of_an_adaptive_schedule_doubles_and_comes_back():
    adaptive = AdaptiveInterleave(enabled=True, min_improvement=0.1, max_frequency=5)
    assert adaptive.next_interval(1, 1, 1.0, 0.99) == 2
    assert adaptive.next_interval(4, 1, 1.0, 0.99) == 5
    assert adaptive.next_interval(4, 1, 1.0, 0.5) == 1
    assert AdaptiveInterleave().next_interval(8, 3, 1.0, 1.0) == 3
