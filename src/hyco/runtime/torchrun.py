"""Whether torchrun has started this process as one of several; told without importing torch."""

from __future__ import annotations

import os


def launched() -> int:
    """How many processes torchrun has started, of which this is one; 1: it has not."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1
