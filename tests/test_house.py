"""The rules of the house: what breaks one is named, with its file."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def house():
    spec = importlib.util.spec_from_file_location("house", Path(__file__).parent / "house.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path, house):
    """Writes the files of a package, and returns what breaks the rules in it."""

    def write(**files: str) -> list[str]:
        folder = tmp_path / "package"
        folder.mkdir()
        for name, text in {"__init__": "", **files}.items():
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
        return [line.removeprefix(f"{folder}/") for line in house.violations(folder)]

    return write


def test_a_long_file_and_a_long_class_are_named(package):
    body = "\n".join(f"    v{i} = {i}" for i in range(250))
    assert package(a="x = 1\n" * 401, b=f"class Wide:\n{body}\n", c="x = 1\n" * 400) == [
        "a.py:1: 401 lines, allowed are 400: split it by what it does",
        "b.py:1: class Wide has 251 lines, allowed are 250",
    ]


@pytest.mark.parametrize(("decorator", "broken"), [("", True), ("@dataclass\n", False)])
def test_attributes_count_but_the_fields_of_data_do_not(package, decorator, broken):
    fields = "\n".join(f"    v{i}: int" for i in range(13))
    sets = "\n".join(f"        self.v{i} = {i}" for i in range(13))
    found = package(a=f"{decorator}class Many:\n{fields}\n    def fill(self):\n{sets}\n")
    assert bool(found) == broken
    assert all("class Many sets 13 attributes, allowed are 12: v0, v1, v10" in line for line in found)


@pytest.mark.parametrize(
    "back",
    [
        "from package import a",
        "from .a import value",
        "if TYPE_CHECKING:\n    from package.a import value",
        "def late():\n    import package.a",
    ],
)
def test_a_circle_is_named_however_it_closes(package, back):
    found = package(a="from package.b import other", b="from package import c", c=back, d="import package.a")
    assert found == ["a.py:1: a circle of imports between 3 files: package.a, package.b, package.c"]


def test_a_package_without_circles_has_none(package):
    assert package(a="from package.b import other", b="import os", c="from package import a, b") == []


def test_what_may_run_what_it_reads_is_named(package):
    text = "import pickle\nx = torch.load(a)\ny = eval(b)\nz = np.load(c, allow_pickle=True)\n"
    text += "fine = np.load(c, allow_pickle=False)\n"
    assert package(a=text) == [
        "a.py:1: pickle may run what it reads",
        "a.py:2: torch.load may run what it reads",
        "a.py:3: eval may run what it reads",
        "a.py:4: allow_pickle may run what it reads",
    ]
