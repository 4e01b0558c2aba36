"""The examples of the documentation are valid, and its links lead somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyco.config import parse

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
EXAMPLE = re.compile(r"```yaml\n# over conf/(\w+)\n(.*?)```", re.DOTALL)
EXAMPLES = [(page, *found) for page in PAGES for found in EXAMPLE.findall(page.read_text(encoding="utf-8"))]
# Written by the benchmarks, which take hours.
STUDIES = PROJECT / "docs" / "studies"


def experiment(name: str) -> dict[str, Any]:
    """The parameters of an experiment, section by section over those of conf/base."""
    found: dict[str, Any] = {}
    for folder in ("base", name):
        for path in sorted((PROJECT / "conf" / folder).glob("parameters*.yml")):
            found = overlaid(found, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return {**found, "experiment": name}


def overlaid(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with the keys of every section of `new`."""
    both = {k: {**old[k], **v} if isinstance(v, dict) and isinstance(old.get(k), dict) else v for k, v in new.items()}
    return {**old, **both}


@pytest.mark.parametrize(("page", "name", "text"), EXAMPLES, ids=[f"{p.stem}-{n}" for p, n, _ in EXAMPLES])
def test_every_example_is_a_valid_configuration(page: Path, name: str, text: str) -> None:
    parse(overlaid(experiment(name), yaml.safe_load(text)))


def test_there_is_an_example_of_every_kind_of_parameter() -> None:
    kinds = {
        entry.get("kind", "scalar")
        for _, _, text in EXAMPLES
        for entry in yaml.safe_load(text).get("physical", {}).get("learnable_parameters", [])
    }
    assert kinds == {"scalar", "expression", "fourier", "gaussians", "field"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            path = (page.parent / target).resolve()
            assert path.exists() or path.parent == STUDIES, target
