"""The reference of the configuration is what the code says."""

import runpy
from pathlib import Path

import pytest

from hyco.equations.registry import EQUATIONS
from hyco.parameters.space import KINDS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def reference() -> str:
    return runpy.run_path(str(DOCS / "make_reference.py"))["reference"]()


def test_reference_is_up_to_date(reference: str) -> None:
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert written == reference, "run: python docs/make_reference.py"


def test_every_key_has_a_meaning(reference: str) -> None:
    rows = [line for line in reference.splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize(
    "heading",
    [f"equation: {name}" for name in EQUATIONS.built_in]
    + [f"physical.learnable_parameters: {kind}" for kind in KINDS]
    + [f"observation.space: {mode}" for mode in ("full", "range", "center", "points", "samples", "moving")],
)
def test_every_equation_kind_and_mode_has_a_part(reference: str, heading: str) -> None:
    assert f"\n### {heading}\n" in reference


@pytest.mark.parametrize(
    "row",
    [
        "| `hybrid.alpha` | number ≥ 0, ≤ 1 or `auto` | `0.5` |",
        "| `equation.domain.<axis>.resolution` | integer ≥ 4 | *required* |",
        "| `observation.space.count` | integer > 0 | *required* |",
        "| `equation.boundary` | boundary | `periodic` |",
        "| `equation.parameters.potential` | number or formula | `0` |",
        "| `equation.max_viscosity` | number > 0 or null | `null` |",
        "| `physical.learnable_parameters[].bounds` | [number, number] or null | `null` |",
        "| `physical.learnable_parameters[].prior.std` | number > 0 | *required* |",
        "| `physical.learnable_parameters[].scalars` | list | *required* |",
        "| `physical.learnable_parameters[].terms[].center` | list of number | *required* |",
        "| `physical.learnable_parameters[].regularisation.kind` | `tikhonov` \\| `h1` \\| `tv` | `h1` |",
        "| `physical.initial_state.length_scale` | number > 0 or `auto` | `auto` |",
        "| `hybrid.physical` | mapping | `{max_iterations: 5, suppress_convergence_errors: true}` |",
        "| `synthetic.network.levels` | integer > 0 | `2` |",
        "| `synthetic.gradient_clip` | number > 0 or null | `1` |",
    ],
)
def test_keys_types_and_defaults(reference: str, row: str) -> None:
    assert row in reference
