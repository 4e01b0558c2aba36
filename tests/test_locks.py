"""What is installed: exact versions with hashes of all but torch, and nothing that pyproject.toml does not allow."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = {"dev": "requirements.lock", "docs": "docs/requirements.lock", "notebook": "notebooks/requirements.lock"}


def locked(path: str) -> dict[str, tuple[Requirement, list[str]]]:
    """The requirements of a file by name, each with its hashes."""
    text = re.sub(r"^#.*\n", "", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
    entries = {}
    for line in text.replace("\\\n", " ").splitlines():
        wanted, *hashes = line.split(" --hash=sha256:")
        requirement = Requirement(wanted)
        entries[str(canonicalize_name(requirement.name))] = (requirement, [one.strip() for one in hashes])
    return entries


@pytest.mark.parametrize("path", LOCKS.values())
def test_every_version_is_exact_and_has_hashes(path):
    for requirement, hashes in locked(path).values():
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier))
        assert hashes
        assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in hashes)
        assert not requirement.url


def test_the_locks_have_what_the_project_asks_for_and_torch_stands_in_a_comment():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    everything = {name: entry for path in LOCKS.values() for name, entry in locked(path).items()}
    torch = re.search(r"^# (torch==\S+)$", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    everything["torch"] = (Requirement(torch[1]), [])
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    for wanted in map(Requirement, asked):
        version = str(everything[canonicalize_name(wanted.name)][0].specifier).removeprefix("==")
        assert wanted.specifier.contains(version), wanted
    beside = [set(locked(path)) for path in LOCKS.values()]
    assert not beside[0] & (beside[1] | beside[2])  # a version stands in one place, as far as possible
