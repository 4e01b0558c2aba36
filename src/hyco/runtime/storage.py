"""One file format for everything with tensors in it: safetensors with JSON in the header.

Trajectories, observations, checkpoints and final models are all a `Bundle`. No pickle is written or read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

_HEADER = "hyco"


@dataclass
class Bundle:
    """Named tensors and the JSON values that describe them."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a bundle so that a reader sees the old file or the new one, never a part.

    Raises:
        TypeError: the metadata hold something that JSON does not know.
    """
    write_atomically(path, serialised(bundle))


def serialised(bundle: Bundle) -> bytes:
    """The content of a bundle's file.

    Raises:
        TypeError: the metadata hold something that JSON does not know.
    """
    tensors, seen = {}, set()
    for name, value in bundle.tensors.items():
        tensor = value.detach().cpu().contiguous()
        # The format has no tensors that share memory.
        shared = tensor.untyped_storage().data_ptr() in seen
        # As arrays: safetensors keeps a type for every size of tensor that it has seen, for the life of the process.
        tensors[name] = (tensor.clone() if shared else tensor).numpy()
        seen.add(tensor.untyped_storage().data_ptr())
    return save(tensors, metadata={_HEADER: json.dumps(bundle.metadata)})


def digest(bundle: Bundle) -> str:
    """A short text that bundles with the same tensors and metadata share, and practically no other.

    Their `origin` makes no difference: the same data may come from another file.
    """
    described = {key: value for key, value in bundle.metadata.items() if key != "origin"}
    total = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(bundle.tensors):
        array = bundle.tensors[name].detach().cpu().contiguous().numpy()
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(array.reshape(-1).view("u1").data)
    return total.hexdigest()[:16]


def write_atomically(path: Path, data: bytes) -> None:
    """Write bytes to a neighbour file, flush it to disk and rename it over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_bundle(path: Path, device: str | torch.device = "cpu") -> Bundle:
    """Read a bundle back, bit for bit.

    Raises:
        ValueError: the file is damaged, or not a bundle (it has no JSON header of ours).
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            header = file.metadata() or {}
            # No mapping: the names have to be asked for.
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read ({error}); remove it and run again what makes it") from error
    if _HEADER not in header:
        raise ValueError(f"{path} is not a hyco file: its safetensors header has no {_HEADER!r} entry")
    return Bundle(tensors=tensors, metadata=json.loads(header[_HEADER]))


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put a prefix before each name."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def unprefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a prefix, without it."""
    head = f"{prefix}/"
    return {name.removeprefix(head): value for name, value in tensors.items() if name.startswith(head)}
