"""Checkpoints: everything a run needs to go on as if nothing had happened, in one bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from hyco.runtime.storage import Bundle

# The key of a configuration that holds a digest of what was observed.
OBSERVATIONS = "observations"


class ResumeError(ValueError):
    """A checkpoint belongs to another configuration."""


def configuration_digest(configuration: Mapping[str, Any]) -> str:
    """A short text that equal configurations share, and practically no others."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True, default=str).encode()).hexdigest()[:16]


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The leaves in which two nested configurations differ: key, old value, new value."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}, key=str):
            yield from differences(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))
    elif old != new:
        yield key, old, new


def check_resumable(checkpoint: Bundle, configuration: Mapping[str, Any], parts: Iterable[str] = ()) -> None:
    """Refuse to go on from a checkpoint of another configuration, or of a version that kept other things.

    Args:
        parts: names of what it must hold the state of.

    Raises:
        ResumeError: names each key that differs, with both values; or says what is missing.
    """
    _require(checkpoint, ("metrics", "operators", "since_best", "stopped", "kept_every"))
    stored = checkpoint.metadata["configuration"]
    changed = [
        f"{key}: other ones than then" if key == OBSERVATIONS else f"{key}: {old!r} in the checkpoint, {new!r} now"
        for key, old, new in differences(stored, configuration)
    ]
    if changed:
        raise ResumeError(
            f"cannot resume, the configuration has changed ({'; '.join(changed)}). "
            "Run with the checkpoint's values, or with resume=false to start anew."
        )
    # Only then: another configuration may have other parts.
    _require(checkpoint, parts)


def _require(checkpoint: Bundle, keys: Iterable[str]) -> None:
    missing = [key for key in keys if key not in checkpoint.metadata]
    if missing:
        raise ResumeError(
            f"cannot resume, the checkpoint is of an earlier version of hyco: it has no {' and no '.join(missing)}. "
            "Run with resume=false to start anew."
        )


def require_like(stored: Mapping[str, Tensor], own: Mapping[str, Tensor], *, complete: bool) -> None:
    """Refuse tensors of a checkpoint that are not those of a training, or not finite.

    Args:
        stored: of the checkpoint, by name; names that are not among `own` are left to those who know them.
        own: what the training has.
        complete: whether the checkpoint has to have all of these.

    Raises:
        ValueError: names the tensor, and says what is wrong with it.
    """
    if complete and (missing := sorted(own.keys() - stored.keys())):
        raise ValueError(f"it has no {missing[0]}")
    for name, value in stored.items():
        if name in own and (value.shape, value.dtype) != (own[name].shape, own[name].dtype):
            here, there = (f"{t.dtype} {list(t.shape)}".removeprefix("torch.") for t in (own[name], value))
            raise ValueError(f"{name} is {there} there, {here} here")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(f"{name} is not finite")
