"""What to worry about, in words."""

import pytest

from hyco.report.warnings import network_warnings


def methods(**errors):
    return {name: {"nrmse": {"mean": mean}} for name, mean in errors.items()}


@pytest.mark.parametrize(("error", "said"), [(0.20, True), (0.16, False)])
def test_a_network_that_is_hardly_better_than_persistence_is_told(error, said):
    found = list(network_warnings(methods(persistence=0.25, hybrid_synthetic=error, hybrid_physical=0.24)))
    assert bool(found) == said
    if said:
        assert found[0].startswith("hybrid_synthetic: its error of 0.2 is hardly below that of persistence, 0.25")


def test_without_persistence_nothing_is_told():
    assert not list(network_warnings(methods(synthetic=1.0)))
    assert not list(network_warnings(methods(persistence=0.0, synthetic=1.0)))
