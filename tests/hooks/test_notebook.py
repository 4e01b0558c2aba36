"""What MLflow need not import to know that it is in no notebook."""

import sys

import pytest

from hyco.hooks.notebook import without_ipython


def test_ipython_cannot_be_imported_where_nobody_has(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with without_ipython(), pytest.raises(ImportError):
        import IPython  # noqa: F401
    assert "IPython" not in sys.modules


def test_where_it_is_in_use_it_stays(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", present := object())
    with without_ipython():
        assert sys.modules["IPython"] is present
    assert sys.modules["IPython"] is present
