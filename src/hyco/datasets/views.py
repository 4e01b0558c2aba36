"""Files that only show what stands in others: one of an earlier run must not be taken for this one's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class View(ABC):
    """Mixed into datasets of such files, which removes them before they are made anew."""

    def remove_old(self) -> None:
        """Remove what an earlier run has left; what cannot be removed cannot be written either, which is told then."""
        for path in self.files():
            with suppress(OSError):
                path.unlink(missing_ok=True)

    @abstractmethod
    def files(self) -> Iterable[Path]:
        """Where they are."""
