"""What the residual networks share: blocks that add to their input, in one dimension all layers in one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor, nn

from hyco.networks.line_convolution import LineConvolutions, Link
from hyco.networks.padding import Convolution


class ResidualNetwork(nn.Module):
    """head(x) after x ← lift(x) and x ← x + block(x) with each block.

    Attributes:
        lift, blocks, head: the layers, of which `join` is to be told.
    """

    lift: nn.Module
    blocks: nn.ModuleList
    head: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self._line: LineConvolutions | None = None

    def join(self) -> None:
        """From now on compute all layers at once, where they are convolutions in one dimension and SiLU."""
        links: list[Link] | None = _appended([], self.lift)
        for block in self.blocks:
            begin = 0 if links is None else len(links)
            links = _appended(links, block)
            if links:
                links[-1] = replace(links[-1], added=begin)
        links = _appended(links, self.head)
        first = next(part for part in self.modules() if isinstance(part, Convolution))
        self._line = None if links is None or first.line is None else LineConvolutions(links, first.line.walls)

    def forward(self, x: Tensor) -> Tensor:
        """The normalised change of a normalised state."""
        if self._line is not None and self._line.runs(x):
            return self._line(x)
        x = self.lift(x)
        for block in self.blocks:
            x = x + block(x)
        change: Tensor = self.head(x)
        return change


def _appended(links: list[Link] | None, module: nn.Module) -> list[Link] | None:
    """With those of a module; None: it is made of something else, too."""
    parts: Iterable[nn.Module] = module if isinstance(module, nn.Sequential) else [module]
    found, activated = links, False
    for part in parts:
        if isinstance(part, nn.Identity):
            continue
        if isinstance(part, nn.SiLU) and not activated:
            activated = True
        elif isinstance(part, Convolution) and part.line is not None and found is not None:
            (link,) = part.line.links
            found, activated = [*found, replace(link, activated=activated)], False
        else:
            return None
    return None if activated else found
