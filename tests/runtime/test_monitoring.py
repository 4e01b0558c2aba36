"""Phases, and the tensor operators in them."""

import time

import pytest
import torch

from hyco.runtime.monitoring import OperatorRecorder, PhaseClock, peak_rss_bytes, top_operators


def test_phases_add_up_and_remember_their_peak():
    clock = PhaseClock(memory=True)
    for _ in range(2):
        with clock.phase("work"):
            block = torch.ones(4_000_000, dtype=torch.float64)
    assert block.sum() > 0
    assert clock.seconds["work"] > 0
    assert 3e7 < clock.peak["work"] <= 2 * peak_rss_bytes()
    assert clock.operators == {}
    assert set(clock.seconds) == {"work"}


def test_the_peak_of_the_process_outlives_the_phase_that_had_it():
    clock = PhaseClock(memory=True)
    with clock.phase("large"):
        block = torch.ones(40_000_000, dtype=torch.float64)
    largest = clock.peak["large"]
    del block
    for _ in range(2):
        with clock.phase("small"):
            pass
    assert clock.peak["small"] < largest
    assert peak_rss_bytes() >= 0.99 * largest


def test_operators_are_counted_with_the_self_times_that_torch_finds():
    recorder = OperatorRecorder({})
    recorder.start("work")
    profiler = recorder._profiler
    x = torch.ones(50, 50, dtype=torch.float64, requires_grad=True)
    for _ in range(3):
        torch.roll(x, 1, 0).square().sum().backward()
    recorder.stop()
    found = recorder.operators["work"]["operators"]["cpu"]
    for event in profiler.key_averages():
        assert found[event.key][1] == pytest.approx(event.self_cpu_time_total * 1e-6, rel=1e-6)
    assert found["aten::roll"][0] == 6  # and as many backward


def test_the_updates_of_a_phase_have_a_part_of_their_own():
    clock = PhaseClock(operators=True)
    clock.begin_update()  # outside of any phase: nothing to record
    with clock.phase("work"):
        torch.ones(10).cumsum(0)
        for _ in range(3):
            clock.begin_update()
            torch.ones(10).cumprod(0)
    parts = {part: entry["operators"]["cpu"] for part, entry in clock.operators.items()}
    assert parts["work"]["aten::cumsum"][0] == 1
    assert parts["work updates"]["aten::cumprod"][0] == 3
    assert "aten::cumprod" not in parts["work"]
    assert set(clock.seconds) == {"work", "profiling"}
    assert all(seconds > 0 for seconds in clock.seconds.values())


def test_recording_ends_when_there_is_enough_of_a_part_also_within_a_block():
    recorder = OperatorRecorder({}, limit=0.05)
    for _ in range(2):
        for _ in range(6):
            recorder.go_on("work")
            torch.ones(10).cumsum(0)
            time.sleep(0.02)
        recorder.stop()
    assert recorder.operators["work"]["operators"]["cpu"]["aten::cumsum"][0] <= 3
    assert recorder.operators["work"]["seconds"] >= 0.05


def test_an_error_within_a_phase_leaves_no_profiler_running():
    clock = PhaseClock(operators=True)

    def work():
        with clock.phase("work"):
            torch.ones(10).cumsum(0)
            raise ValueError("broken")

    for _ in range(2):  # the second would be refused, if it were
        with pytest.raises(ValueError, match="broken"):
            work()
    assert clock.operators["work"]["operators"]["cpu"]["aten::cumsum"][0] == 2


def test_the_shares_of_the_top_operators_and_the_rest_sum_to_one():
    operators = {"cpu": {f"op {i}": [i, float(i)] for i in range(1, 6)}, "cuda": {"kernel": [7, 4.5]}}
    (part,) = top_operators({"work": {"seconds": 20.0, "operators": operators}}, most=3).values()
    assert [row["name"] for row in part["top"]] == ["op 5", "kernel", "op 4", "other operators", "outside operators"]
    assert [row["share"] for row in part["top"] if row["device"] == "cpu"] == [0.25, 0.2, 0.3, 0.25]
