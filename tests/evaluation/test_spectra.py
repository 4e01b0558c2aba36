"""Energy spectra against waves whose energy is known, and against Parseval's equation."""

import numpy as np
import pytest

from hyco.evaluation import energy_spectrum, spectra
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid

BOX = Grid(("x", "y"), (0.0, 1.0), (6.0, 3.0), (24, 18))


def test_the_energy_of_a_wave_stands_at_its_wavenumber():
    x = np.meshgrid(BOX.centers("x"), BOX.centers("y"), indexing="ij")
    k = (2 * np.pi * 2 / 6.0, 2 * np.pi * 1 / 3.0)  # |k| = 2√2 shells of 2π/6, which is nearest to 3
    states = np.stack([3.0 * np.cos(k[0] * x[0] + k[1] * x[1]), np.full(BOX.resolution, 2.0)])[None]
    wavenumbers, energy = energy_spectrum(states, BOX)
    width = 2 * np.pi / 6.0
    assert wavenumbers[:3] == pytest.approx([0.0, width, 2 * width])
    assert energy[3] * width == pytest.approx(3.0**2 / 4)
    assert energy[0] * width == pytest.approx(2.0**2 / 2)
    assert np.delete(energy, [0, 3]) == pytest.approx(0.0, abs=1e-25)


def test_all_energies_together_are_half_of_the_mean_square():
    states = np.random.default_rng(0).normal(size=(5, 2, 64))
    wavenumbers, energy = energy_spectrum(states, Grid(("x",), (0.0,), (7.0,), (64,)))
    assert energy.sum() * wavenumbers[1] == pytest.approx(0.5 * (states**2).sum(axis=1).mean())
    assert wavenumbers[-1] == pytest.approx(np.pi / (7.0 / 64))


def layout(boundary, **options):
    fields = (FieldSpec("v", ("x", "y"), boundary=boundary, **options), FieldSpec("c", boundary=boundary))
    return Layout(BOX, fields)


def test_a_vectors_components_are_added_up_and_other_fields_left_out():
    values = np.random.default_rng(1).normal(size=(2, 3, 24, 18))
    rollouts = {"truth": values, "synthetic": values + 0.1, "physical": np.full_like(values, np.nan)}
    k, energies, errors = spectra(rollouts, layout("periodic"), 1)
    assert list(energies) == ["truth", "synthetic"]
    assert energies["truth"] == pytest.approx(energy_spectrum(values[:, :2], BOX)[1])
    assert errors["synthetic"][0] * k[1] == pytest.approx(0.1**2)
    assert errors["synthetic"][1:] == pytest.approx(0.0, abs=1e-25)


@pytest.mark.parametrize(
    ("boundary", "options", "hole"),
    [
        ("neumann", {}, False),
        ({"x": "periodic", "y": 0.0}, {}, False),
        ("periodic", {"staggered": True}, False),
        ("periodic", {}, True),
    ],
    ids=["walls", "a wall", "on faces", "not measured"],
)
def test_elsewhere_there_is_no_spectrum(boundary, options, hole):
    of = layout(boundary, **options)
    values = np.zeros((1, 3, *of.shape))
    if hole:
        values[0, 0, 3, 4] = np.nan
    assert spectra({"truth": values}, of, 0) is None
