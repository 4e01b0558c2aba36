"""Where work may be done, and what says so."""

import pytest
from pydantic import ValidationError

from hyco.compute import ComputeConfig

TLS = {"ca": "ca.pem", "certificate": "mine.pem", "key": "mine.key"}


@pytest.mark.parametrize(
    ("keys", "is_address"),
    [
        ({}, False),
        ({"workers": 4, "threads": 2}, False),
        ({"scheduler": "tcp://10.0.0.7:8786"}, True),
        ({"scheduler": "tcp://[::1]:8786"}, True),
        ({"scheduler": "tls://head.cluster:8786", "security": TLS}, True),
        ({"scheduler": "shared/scheduler.json"}, False),
        ({"scheduler": "shared/scheduler.json", "security": TLS}, False),
    ],
)
def test_a_place_is_taken(keys, is_address):
    assert ComputeConfig.model_validate(keys).is_address == is_address


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"workers": 0}, "greater than 0"),
        ({"workers": 2, "scheduler": "tcp://10.0.0.7:8786"}, "leave one of them out"),
        ({"scheduler": "http://10.0.0.7:8786"}, "is no address; allowed: tcp://host:port"),
        ({"scheduler": "tcp://10.0.0.7"}, "is no address"),
        ({"scheduler": "tls://10.0.0.7:8786"}, "tls:// needs compute.security"),
        ({"scheduler": "tcp://10.0.0.7:8786", "security": TLS}, "tcp:// has none"),
        ({"security": TLS}, "name compute.scheduler"),
        ({"scheduler": "a.json", "security": {"ca": "ca.pem"}}, "security.certificate"),
    ],
)
def test_what_does_not_fit_is_told(keys, message):
    with pytest.raises(ValidationError, match=message):
        ComputeConfig.model_validate(keys)
