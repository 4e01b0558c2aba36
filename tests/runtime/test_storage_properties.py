"""Whatever is written comes back, and whatever happens to a file, it is refused or is what was written."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyco.datasets.metrics import MetricsDataset
from hyco.runtime.storage import (
    Bundle,
    DamagedFileError,
    read_bundle,
    read_json,
    serialised,
    serialised_json,
)

QUICK = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.text(max_size=5).filter(lambda key: key != "checksum"), PLAIN, max_size=4)
TYPES = (torch.float64, torch.float32, torch.int64, torch.bool, torch.uint8)


@st.composite
def bundles(draw: Callable[..., Any]) -> Bundle:
    shapes = st.lists(st.integers(0, 3), max_size=3)
    names = draw(st.lists(st.text("abc/.é", min_size=1, max_size=5), max_size=3, unique=True))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 9)))
    tensors = {n: (9 * torch.randn(draw(shapes), generator=generator)).to(draw(st.sampled_from(TYPES))) for n in names}
    return Bundle(tensors, draw(MAPPINGS))


def same(one: Bundle, other: Bundle) -> bool:
    alike = one.metadata == other.metadata and one.tensors.keys() == other.tensors.keys()
    return alike and all(
        torch.equal(value, other.tensors[name]) and value.dtype == other.tensors[name].dtype
        for name, value in one.tensors.items()
    )


@st.composite
def damages(draw: Callable[..., Any]) -> Callable[[bytes], bytes]:
    """A change of a file: a bit, a cut, a hole, or bytes that come in between."""
    kind, where, what = draw(st.integers(0, 3)), draw(st.floats(0, 1)), draw(st.binary(min_size=1, max_size=9))

    def damage(content: bytes) -> bytes:
        at = min(int(where * len(content)), len(content) - 1)
        if kind == 0:
            return content[:at] + bytes([content[at] ^ (1 << what[0] % 8)]) + content[at + 1 :]
        if kind == 1:
            return content[:at]
        return (
            content[:at] + (what if kind == 2 else bytes(len(what))) + content[at + (0 if kind == 2 else len(what)) :]
        )

    return damage


def read_or_refused(read: Callable[[Path], Any], path: Path) -> Any:
    """What is read; None where the file is refused in a line with its name."""
    try:
        return read(path)
    except DamagedFileError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return None


@QUICK
@given(bundle=bundles(), damage=damages())
def test_a_bundle_comes_back_and_no_damage_passes_for_it(tmp_path, bundle, damage):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content := serialised(bundle))
    assert same(read_bundle(path), bundle)
    path.write_bytes(damage(content))
    read = read_or_refused(read_bundle, path)
    assert read is None or same(read, bundle)


@QUICK
@given(values=MAPPINGS, damage=damages())
def test_json_comes_back_and_no_damage_passes_for_it(tmp_path, values, damage):
    path = tmp_path / "a.json"
    path.write_bytes(content := serialised_json(values, allow_nan=True))
    assert read_json(path) == values
    path.write_bytes(damage(content))
    assert read_or_refused(read_json, path) in (None, values)


@QUICK
@given(values=st.lists(st.floats(-9, 9) | st.just(math.nan), min_size=1, max_size=5), damage=damages())
def test_a_resumed_history_has_the_lines_that_are_whole(tmp_path, values, damage):
    path = tmp_path / "h.jsonl"
    path.unlink(missing_ok=True)
    dataset = MetricsDataset(str(path))
    for epoch, value in enumerate(values, 1):
        dataset.save({"epoch": epoch, "metrics": {"loss": value}})
    whole = dataset.load()
    assert [record["epoch"] for record in whole] == list(range(1, len(values) + 1))
    path.write_bytes(damage(path.read_bytes()))
    resumed, last = MetricsDataset(str(path)), {"epoch": len(values) + 1, "metrics": {"loss": 0.5}}
    resumed.save(last)
    *kept, end = resumed.load()
    assert end == last
    assert all(record in whole for record in kept)
    assert [record["epoch"] for record in kept] == sorted({record["epoch"] for record in kept})


@pytest.mark.parametrize("value", [b"", b"[]", b"null", b"1", b"\xff", b"[" * 100_000, b'{"a":' * 5000])
def test_what_is_no_mapping_is_told(tmp_path, value):
    (tmp_path / "a.json").write_bytes(value)
    with pytest.raises(DamagedFileError, match=r"a\.json cannot be read"):
        read_json(tmp_path / "a.json")
