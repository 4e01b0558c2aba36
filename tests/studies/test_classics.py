"""One draw of each study of a classic: the estimates are where the study says they are."""

import pytest

import gray_scott
import potential
import raissi_burgers

pytestmark = pytest.mark.slow


def test_a_potential_in_four_modes_is_found_from_half_the_domain():
    assert potential.run(modes=4, noise=0.0, seed=7)["error"] < 1e-3
    noisy = potential.run(modes=4, noise=0.01, seed=7)
    assert noisy["error"] < 0.1
    assert noisy["inside"] > 0.8


def test_of_sixteen_modes_from_half_the_domain_the_hidden_half_is_marked():
    found = potential.run(modes=16, noise=0.01, seed=7)
    assert found["error"] < 0.6
    assert not found["identifiable"]
    assert found["std_hidden"] > 1.5 * found["std_seen"]


def test_both_coefficients_of_burgers_are_found_from_two_thousand_points():
    exact = raissi_burgers.run(cells=1020, noise=0.0, draw=0)
    assert abs(exact["error_convection"]) < 1e-6
    assert abs(exact["error_viscosity"]) < 5e-5
    noisy = raissi_burgers.run(cells=765, noise=0.05, draw=1)
    for name in raissi_burgers.TRUE:
        assert abs(noisy[f"error_{name}"]) < 4 * noisy[f"std_{name}"]


def test_both_diffusivities_of_gray_scott_are_found_within_twenty_simulations():
    exact = gray_scott.run(draw=0, noise=0.0, steps=10, samples=1000, asymmetric=True)
    noisy = gray_scott.run(draw=1, noise=0.01, steps=10, samples=1000, asymmetric=True)
    for name in gray_scott.TRUE:
        assert abs(exact[f"error_{name}"]) < 1e-6
        assert abs(noisy[f"error_{name}"]) < 4 * noisy[f"std_{name}"]
    assert noisy["simulations"] <= 20
