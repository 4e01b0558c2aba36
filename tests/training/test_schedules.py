"""Schedules as functions of the epoch."""

import pytest

from hyco.training.schedules import SchedulerConfig


def test_schedules_start_at_one_and_end_where_they_say():
    cosine = SchedulerConfig(name="cosine", final=0.1)
    assert cosine.factor(1, 10) == 1.0
    assert cosine.factor(10, 10) == pytest.approx(0.1)
    assert SchedulerConfig(name="exponential", decay=0.5).factor(3, 10) == 0.25
    assert [SchedulerConfig(name="step", decay=0.5, every=2).factor(e, 9) for e in (1, 2, 3, 5)] == [1, 1, 0.5, 0.25]
    assert SchedulerConfig(name="constant").factor(7, 10) == 1.0
    assert cosine.factor(1, 1) == 1.0
