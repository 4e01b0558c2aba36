"""Large data in parts of some simulations, for sums over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from hyco.runtime.mapped import release, slices


@dataclass(frozen=True)
class Parts:
    """Values and masks `[S, T, C, …]` of simulations, part by part, made anew each time that they are gone through.

    Attributes:
        make: gives some of the simulations.
        simulations: how many there are.
        size: numbers of each.
        sources: what they are made of, which leaves memory after each part if it is in a file.
    """

    make: Callable[[slice], tuple[Tensor, Tensor]]
    simulations: int
    size: int
    sources: tuple[Tensor, ...]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for which in slices(self.simulations, self.size):
            yield self.make(which)
            for tensor in self.sources:
                release(tensor)
