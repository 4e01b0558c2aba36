"""Sections laid over each other."""

import pytest

from hyco.config import resolve_hybrid
from hyco.sections import merge


def test_the_hybrids_parts_override_the_sections_of_their_name():
    resolved = resolve_hybrid(
        {"epochs": 7, "physical": {"max_iterations": 5}, "synthetic": {"learning_rate": 0.1}},
        {"learning_rate": 0.2, "batch_size": 4, "epochs": 1},
        {"max_iterations": None, "abs_tol": 1e-3},
    )
    assert resolved["synthetic"] == {"learning_rate": 0.1, "batch_size": 4, "epochs": 7}
    assert resolved["physical"] == {"max_iterations": 5, "abs_tol": 1e-3, "epochs": 7}


@pytest.mark.parametrize("order", [{"sequential": True}, {"correction": True}, {"correction": {}}])
def test_the_fit_before_the_network_has_the_limit_of_the_physics_alone(order):
    for own, physical, expected in (({}, {"epochs": 30}, 30), ({}, {}, 50), ({"calibration_iterations": 9}, {}, 9)):
        resolved = resolve_hybrid({"epochs": 7} | order | own, {}, physical)
        assert resolved["calibration_iterations"] == expected, "not that of the hybrid's epochs"


def test_another_name_replaces_a_section_instead_of_mixing_keys():
    assert merge({"network": {"name": "unet", "levels": 3}}, {"network": {"name": "resnet"}}) == {
        "network": {"name": "resnet"}
    }
