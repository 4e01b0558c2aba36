"""One file format for everything with tensors in it: safetensors with JSON in the header.

Trajectories, observations, checkpoints and final models are all a `Bundle`. No pickle is written or read. Files carry a
checksum of their content, and JSON files too: what is damaged is told, not used.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save
from torch import Tensor

from hyco.runtime.mapped import end_file, open_file, parts

_HEADER, _CHECKSUM = "hyco", "checksum"
# In the header of a file whose tensors are too large for memory: they stay in it.
_ON_DISK = "on_disk"
# As much of a file as tells whose it is, where it cannot be read: what was simulated says so in its header.
_HEAD = 1 << 20
_REMEDY = "; remove it and run again what makes it"


class DamagedFileError(ValueError):
    """A file is not what was written; the message names it."""


class UnreadableError(OSError):
    """A file cannot be opened; the message names it, and says why."""

    def __str__(self) -> str:
        return str(self.strerror)


class UnwritableError(OSError):
    """A file cannot be written; the message names it, and says why."""

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or str(error)
        super().__init__(
            error.errno,
            f"{path} cannot be written ({reason}): make room, or the folder writable, then go on with resume=true",
        )

    def __str__(self) -> str:
        return str(self.strerror)


@dataclass
class Bundle:
    """Named tensors and the JSON values that describe them.

    Attributes:
        file: where the tensors are, if they stay in a file; see `hyco.runtime.mapped`.
        unnamed: whether that file was made for this bundle, and gets its name where it is written to.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    unnamed: bool = False


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a bundle so that a reader sees the old file or the new one, never a part.

    Tensors that are in a file go with it: it is copied, or gets this name.

    Raises:
        TypeError: the metadata hold something that JSON does not know.
    """
    if bundle.file is None:
        write_atomically(path, serialised(bundle))
    elif bundle.unnamed or bundle.file.absolute() != path.absolute():
        text = json.dumps(bundle.metadata)
        own = bundle.file if bundle.unnamed else path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not bundle.unnamed:
                shutil.copyfile(bundle.file, own)
            end_file(own, {_HEADER: text, _CHECKSUM: _checksum(text, bundle.tensors), _ON_DISK: "true"})
            _move(own, path)
        except OSError as error:
            if not bundle.unnamed:
                own.unlink(missing_ok=True)
            raise UnwritableError(path, error) from error


def _move(file: Path, path: Path) -> None:
    """Give a file its name, at once; on another disk it is copied there first."""
    try:
        file.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            shutil.copyfile(file, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        file.unlink()


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
    text = json.dumps(bundle.metadata)
    checksum = _checksum(text, {name: torch.from_numpy(array) for name, array in tensors.items()})
    return _in_order(save(tensors, metadata={_HEADER: text, _CHECKSUM: checksum}))


def _in_order(content: bytes) -> bytes:
    """The content of a safetensors file with its metadata sorted by name, as equal bundles have equal files.

    The library writes them in an order that differs from process to process.
    """
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size].decode()
    first = len('{"__metadata__":')
    metadata, end = json.JSONDecoder().raw_decode(header, first)
    if list(metadata) == sorted(metadata):
        return content
    found, at = {}, first + 1
    for name in metadata:  # name, colon, value, comma: as they are written, so that the header keeps its length
        _, colon = json.JSONDecoder().raw_decode(header, at)
        _, stop = json.JSONDecoder().raw_decode(header, colon + 1)
        found[name], at = header[at:stop], stop + 1
    ordered = "{" + ",".join(found[name] for name in sorted(found)) + "}"
    return content[:8] + (header[:first] + ordered + header[end:]).encode() + content[8 + size :]


def from_bytes(content: bytes) -> Bundle:
    """The inverse of `serialised`, for what was just sent: its checksum is not looked at."""
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    tensors = {name: torch.from_numpy(array.copy()) for name, array in load(content).items()}
    return Bundle(tensors, json.loads(metadata[_HEADER]))


def digest(bundle: Bundle) -> str:
    """A short text that bundles with the same tensors and metadata share, and practically no other.

    Their `origin`, and whether it is a file, make no difference: the same data may come from elsewhere.
    """
    described = {key: value for key, value in bundle.metadata.items() if key not in ("origin", "from_file")}
    return _hashed(json.dumps(described, sort_keys=True), bundle.tensors)[:16]


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """That of a file: a number counts as a row of one, as it did in the first files."""
    return _hashed(text, {name: tensor.reshape(1) if tensor.ndim == 0 else tensor for name, tensor in tensors.items()})


def _hashed(text: str, tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of a text and of the names, types, shapes and bytes of tensors."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        dtype = str(tensor.dtype).removeprefix("torch.")
        total.update(f"{name} {dtype} {tuple(tensor.shape)}".encode())
        for (part,) in parts(tensor) if tensor.ndim else [(tensor,)]:
            total.update(part.cpu().contiguous().numpy().reshape(-1).view("u1").data)
    return total.hexdigest()


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Write bytes to a neighbour file, flush it to disk and rename it over `path`.

    Raises:
        UnwritableError: that is not possible; `path` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UnwritableError(path, error) from error


def read_bundle(path: Path, device: str | torch.device = "cpu") -> Bundle:
    """Read a bundle back, bit for bit.

    A file of another program's, or of an earlier version, may have no checksum. Tensors that were too large for memory
    when they were made stay in the file.

    Raises:
        DamagedFileError: the file is damaged, or not a bundle (it has no JSON header of ours).
        UnreadableError: it cannot be opened.
        FileNotFoundError: there is none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            stays = _ON_DISK in header
            # No mapping: the names have to be asked for.
            tensors = {} if stays else {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if stays:
            tensors, _ = open_file(path)
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if _HEADER not in header:
        raise DamagedFileError(f"{path} is not a hyco file: its safetensors header has no {_HEADER!r} entry")
    if others := sorted(header.keys() - {_HEADER, _CHECKSUM, _ON_DISK}):
        raise _damaged(path, f"its header has {', '.join(others)!s:.80}")
    if _CHECKSUM in header:
        numbers = {name: tensor for name, tensor in tensors.items() if tensor.dtype is not torch.bfloat16}
        if header[_CHECKSUM] != _checksum(header[_HEADER], numbers):
            raise _damaged(path, "its content is not what was written: the checksum differs")
    try:
        metadata = json.loads(header[_HEADER])
    except ValueError as error:
        raise _damaged(path, f"its header is no JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise _damaged(path, "its header is no mapping")
    own = {name: tensor.to(device) for name, tensor in tensors.items()}
    return Bundle(own, metadata, path if stays else None)


def unreadable(path: Path, error: OSError) -> OSError:
    """The error of a file that is there and cannot be opened; of one that is not there, or no folder of it, itself."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return error
    reason = (error.strerror or str(error)).lower()
    return UnreadableError(
        error.errno, f"{path} cannot be opened ({reason}): make it a file that you may read, or remove it"
    )


def read_whole(bundle: Bundle) -> Bundle:
    """The same in memory, where its tensors stay in a file."""
    if bundle.file is None:
        return bundle
    return Bundle({name: tensor.clone() for name, tensor in bundle.tensors.items()}, bundle.metadata)


def _damaged(path: Path, reason: str) -> DamagedFileError:
    reason = " ".join(reason.split())
    return DamagedFileError(f"{path} cannot be read ({reason}){_REMEDY}")


def is_of_user(path: Path) -> bool:
    """Whether a file that cannot be read may be a user's own data: one of ours, without the origin that runs note."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return _HEADER.encode() in head and b"origin" not in head


def set_aside(path: Path) -> Path:
    """Rename a file that is of no use, so that its name is free; its new name."""
    aside = path.with_name(f"{path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    path.replace(aside)
    return aside


def serialised_json(values: Mapping[str, Any], indent: int | None = None, *, allow_nan: bool = False) -> bytes:
    """JSON values as the content of a file, with a checksum as their last key.

    Raises:
        ValueError, TypeError: they hold something that JSON does not know.
    """
    plain = json.loads(json.dumps(values, allow_nan=allow_nan))
    plain.pop(_CHECKSUM, None)
    text = json.dumps({**plain, _CHECKSUM: _checksum_of_json(plain)}, indent=indent, ensure_ascii=False)
    return f"{text}\n".encode()


def read_json(path: Path, of_lists: str | None = None) -> dict[str, Any]:
    """Values that `serialised_json` wrote, without the checksum. Others, of earlier versions, have none.

    Args:
        path: of the file.
        of_lists: the name that a list gets, which earlier versions wrote; None: it is not allowed.

    Raises:
        DamagedFileError: the file is damaged, or holds no mapping.
        UnreadableError: it cannot be opened.
        FileNotFoundError: there is none.
    """
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error) or "it is nested too deeply") from error
    if isinstance(values, list) and of_lists is not None:
        return {of_lists: values}
    if not isinstance(values, dict):
        raise _damaged(path, f"it holds a {type(values).__name__} instead of a dict")
    checksum = values.pop(_CHECKSUM, None)
    if checksum is None and _is_checksum(next(reversed(values.values()), None)):
        raise _damaged(path, "the name of its checksum is not what was written")
    if checksum is not None and checksum != _checksum_of_json(values):
        raise _damaged(path, "its content is not what was written: the checksum differs")
    return values


def _is_checksum(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 32 and not set(value) - set("0123456789abcdef")


def _checksum_of_json(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put a prefix before each name."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def unprefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a prefix, without it."""
    head = f"{prefix}/"
    return {name.removeprefix(head): value for name, value in tensors.items() if name.startswith(head)}
