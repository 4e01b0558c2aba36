"""Independent random streams from one seed, so that one part's draws never shift another's."""

from __future__ import annotations

import zlib

import numpy as np
import torch


def stream_seed(seed: int, *name: str | int) -> int:
    """A seed for the stream of this name: the same for the same seed and name, unrelated otherwise."""
    key = zlib.crc32("/".join(map(str, name)).encode())
    return int(np.random.SeedSequence([seed, key]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def stream(seed: int, *name: str | int) -> torch.Generator:
    """A CPU generator for the stream of this name."""
    return torch.Generator().manual_seed(stream_seed(seed, *name))
