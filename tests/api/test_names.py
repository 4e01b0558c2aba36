"""`import hyco` is light, and offers exactly the stable names, each with what there is to know of it."""

import ast
import doctest
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import hyco
import hyco.api

HEAVY = ("torch", "numpy", "pandas", "pydantic", "phi", "phiml", "matplotlib", "kedro", "mlflow", "scipy")
FUNCTIONS = [name for name in hyco.__all__ if inspect.isfunction(getattr(hyco, name))]
RESULTS = ("Evaluation", "FittedPhysics", "TrainedHybrid", "TrainedNetwork", "Trajectories")
METHODS = [
    (owner, name)
    for owner in RESULTS
    for name, value in vars(getattr(hyco, owner)).items()
    if inspect.isfunction(value) and not name.startswith("_")
]
MODULES = [module.name for module in pkgutil.iter_modules(hyco.api.__path__)]


def new_process(code):
    """What a new Python prints as JSON."""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def test_the_import_brings_none_of_the_large_packages():
    modules = new_process("import hyco, json, sys; print(json.dumps(sorted(sys.modules)))")
    assert not {name.split(".")[0] for name in modules} & set(HEAVY)
    assert [name for name in modules if name.startswith("hyco.")] == []


def test_the_import_is_quick():
    code = "import time; t = time.perf_counter(); import hyco; print(time.perf_counter() - t)"
    assert min(new_process(code) for _ in range(3)) < 0.2


def test_dir_lists_exactly_the_stable_names():
    assert dir(hyco) == sorted(hyco.__all__)
    assert len(set(hyco.__all__)) == len(hyco.__all__)
    assert new_process("import hyco, json; hyco.Grid; print(json.dumps(dir(hyco)))") == sorted(hyco.__all__)


def test_every_name_is_there_and_no_other():
    assert all(getattr(hyco, name) is not None for name in hyco.__all__)
    with pytest.raises(AttributeError, match="module 'hyco' has no attribute 'colour'"):
        _ = hyco.colour


def test_type_checkers_see_what_is_loaded():
    tree = ast.parse(Path(hyco.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert {*seen, "__version__"} == set(hyco.__all__)
    for name, module in seen.items():
        assert getattr(importlib.import_module(module), name) is getattr(hyco, name)
    assert (Path(hyco.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("name", [name for name in hyco.__all__ if name != "__version__"])
def test_every_name_has_a_docstring(name):
    assert len(inspect.getdoc(getattr(hyco, name)) or "") > 40


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_tells_of_every_parameter_what_it_returns_and_gives_an_example(name):
    function = getattr(hyco, name)
    text = inspect.getdoc(function)
    assert "Returns:" in text
    assert ">>> import hyco" in text
    assert name == "available" or "Raises:" in text
    for parameter in inspect.signature(function).parameters:
        assert f"{parameter}: " in text, parameter


@pytest.mark.parametrize(("owner", "name"), METHODS)
def test_a_method_tells_of_every_parameter(owner, name):
    method = getattr(getattr(hyco, owner), name)
    for parameter in list(inspect.signature(method).parameters)[1:]:
        assert f"{parameter}: " in inspect.getdoc(method), parameter


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_as_written(name):
    module = importlib.import_module(f"hyco.api.{name}")
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
