"""What the root model has of its own."""

import pytest

from hyco.config import ConfigurationError, parse_device


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert parse_device("auto").type == "cpu"
    with pytest.raises(ConfigurationError, match="'cuda' is not available here; use auto or cpu"):
        parse_device("cuda")
