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


# `torch.randn` makes so many numbers at a time, and the last so many of a tensor of another size anew.
_BLOCK = 16


class NormalDraws:
    """The numbers of one large `torch.randn`, to the bit, a part at a time.

    Args:
        generator: of the draw.
        count: how many numbers it has.
        dtype: of the numbers; double.
    """

    def __init__(self, generator: torch.Generator, count: int, dtype: torch.dtype = torch.float64) -> None:
        self._generator, self._dtype = generator, dtype
        self._last = count if count < 2 * _BLOCK else _BLOCK + count % _BLOCK
        self._left, self._drawn = count - self._last, torch.empty(0, dtype=dtype)

    def take(self, count: int) -> torch.Tensor:
        """The next numbers, `[count]`.

        Raises:
            ValueError: there are no more as many.
        """
        while (missing := count - len(self._drawn)) > 0:
            size = min(self._left, -(-missing // _BLOCK) * _BLOCK) if self._left else self._last
            if not size:
                raise ValueError(f"{missing} numbers more are asked for than the draw has")
            if self._left:
                self._left -= size
            else:
                self._last = 0
            more = torch.randn(size, generator=self._generator, dtype=self._dtype)
            self._drawn = torch.cat([self._drawn, more])
        found, self._drawn = self._drawn[:count], self._drawn[count:]
        return found
