"""Studies are scripts in `benchmarks/`, not modules of the package."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def load_study():
    def load(name):
        path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
