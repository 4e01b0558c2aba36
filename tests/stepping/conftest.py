"""Tests of steps begin without the steps of the tests before them."""

import pytest

from hyco.stepping import stepper


@pytest.fixture(autouse=True)
def _no_shared_steps(monkeypatch):
    """Equal equations share their recorded steps within a process: here within a test."""
    monkeypatch.setattr(stepper, "_SHARED", type(stepper._SHARED)())
