"""A release says one version everywhere, and its wheel has all that the package needs."""

import re
import tomllib
from pathlib import Path

import yaml

import hyco

ROOT = Path(__file__).parents[1]


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hyco.__version__
    day = citation["date-released"]
    assert f"\n## {hyco.__version__} ({day})" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    wheels = re.findall(r"hyco-([\d.]+)-py3", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert set(wheels) == {hyco.__version__}


def test_the_wheel_has_every_file_of_the_package_and_every_folder_is_a_package():
    package = ROOT / "src" / "hyco"
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    patterns = tools["setuptools"]["package-data"]["hyco"]
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    taken = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path for path in files if path.suffix != ".py"} == taken
    code = {path.parent for path in files if path.suffix == ".py"}
    assert all((folder / "__init__.py").is_file() for folder in code)


def test_the_source_distribution_names_files_that_there_are():
    lines = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    named = [name for line in lines if line.startswith(("include ", "graft ")) for name in line.split()[1:]]
    assert all((ROOT / name).exists() for name in named)


def test_the_source_distribution_has_every_folder_that_its_tests_read():
    """Most read the configuration and the documentation, those of studies the programs that made them."""
    grafted = set(re.findall(r"^graft (\w+)$", (ROOT / "MANIFEST.in").read_text(encoding="utf-8"), re.MULTILINE))
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    made = ("src", "data", "build", "dist", "mlruns")  # src is the package, the others come of commands
    folders = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in made]
    read = {name for name in folders if any(f'"{name}"' in text for text in texts)}
    assert {"benchmarks", "conf", "docs"} <= read
    assert read <= grafted
