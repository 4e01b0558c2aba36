"""Whatever stands in a configuration, it is refused in lines or can be taken; nothing else happens."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyco.config import ConfigurationError, complete, mistakes_in
from hyco.hooks.parameter_files import require_plain

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["nan", "inf", "-.5", "1e999", "../x", "auto", "x**x", "(" * 60, "x" * 999]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from([10**400, -1, 0, 1]) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz", max_size=3), inner, max_size=3),
    max_leaves=5,
)
QUICK = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def keys(value: Any, key: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of all values, sections among them."""
    if key:
        yield key
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from keys(inner, (*key, name))


@pytest.mark.parametrize("name", ["burgers_1d", pytest.param("heat_sensors", marks=pytest.mark.slow)])
@QUICK
@given(data=st.data())
def test_any_value_at_any_key_is_refused_in_lines_or_taken(parameters, name, data):
    changed = copy.deepcopy(parameters(name))
    *above, last = data.draw(st.sampled_from(list(keys(changed))))
    node: Any = changed
    for part in above:
        node = node[part]
    node[last] = data.draw(ANYTHING)
    try:
        lines = mistakes_in(complete(changed))
    except ConfigurationError as error:
        lines = str(error).splitlines()
    assert all(len(line) < 1500 for line in map(str, lines))


@QUICK
@given(content=st.binary(max_size=60) | st.text("ab:-[]{}&*!?|>'\"#%@ \n\t0.1", max_size=60).map(str.encode))
def test_any_file_is_refused_in_a_line_or_is_plain_yaml(tmp_path, content):
    path = tmp_path / "parameters.yml"
    path.write_bytes(content)
    message = ""
    try:
        require_plain(path)
    except ConfigurationError as error:
        message = str(error)
    if message:
        assert str(path) in message
        assert "\n" not in message
    else:
        assert isinstance(yaml.safe_load(content) or {}, dict)
