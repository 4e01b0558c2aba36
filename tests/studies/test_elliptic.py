"""The study of the elliptic problem in small."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def study():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location("elliptic_study", BENCHMARKS / "elliptic.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_sensors_in_the_whole_domain_determine_both_bumps(study):
    line = study.fit(0, "whole", starts=16)
    assert line["parameter_error"] < study.SUCCESS
    assert all(line["identifiable"].values())
    assert not line["undetermined"]
    assert "| whole | 19×19 | 1 | 1 of 1 |" in study.page([line])
