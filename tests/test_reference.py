"""The reference of the configuration is what the code says."""

import runpy
from pathlib import Path

import pytest

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
    "row",
    [
        "| `hybrid.alpha` | number ≥ 0, ≤ 1 | `0.5` |",
        "| `equation.domain.<axis>.resolution` | integer ≥ 4 | *required* |",
        "| `observation.space.count` | integer > 0 | *required* |",
        "| `physical.learnable_parameters[].bounds` | [number, number] | *required* |",
        "| `hybrid.physical` | mapping | `{max_iterations: 5, suppress_convergence_errors: true}` |",
        "| `synthetic.network.levels` | integer > 0 | `2` |",
        "| `synthetic.gradient_clip` | number > 0 or null | `1` |",
    ],
)
def test_keys_types_and_defaults(reference: str, row: str) -> None:
    assert row in reference
