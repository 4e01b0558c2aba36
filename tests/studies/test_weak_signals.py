"""The study of weak signals: set-ups that exist, a draw of one, and the counts of its table."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "weak_signals.py"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("hyco_study_weak_signals", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_twenty_set_ups(study):
    assert len(study.SETUPS) == 20


@pytest.mark.slow
def test_a_faded_wave_is_called_determined_by_its_linearised_interval_alone(study):
    name = "heat, faded, t 14, σ .05"
    (line,) = study.run([name], [700], None)
    number = line["numbers"]["diffusivity"]
    assert number["reaches"]
    assert number["profiled"]
    assert number["linear"]["identifiable"]
    assert not number["profile"]["identifiable"]
    assert number["profile"]["interval"][1] == pytest.approx(2.0)
    row = study.table([line]).splitlines()[2]
    assert row == f"| {name} | diffusivity | 1 | 1 | 1 | 1 | 0 | 0 | 1 | 1 |"
