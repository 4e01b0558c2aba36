"""Windows of data that stay in a file: read where an update needs them, and asked of the system one update ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor

from hyco.observations import Observations
from hyco.runtime.mapped import OnDiskError, expect, parts, release, rows_of
from hyco.training.windows import Predict, Windows, WindowStarts

# Bytes that are read before they leave the memory of this process.
_HELD = 2**27
_Batch = TypeVar("_Batch", bound=tuple[Tensor, Any])


class StoredStates:
    """A tensor `[S, T+1, …]` in a file, which is indexed like one in memory.

    Args:
        tensor: see `hyco.runtime.mapped`.
        convert: makes of each part that is read what is wanted of it.
    """

    def __init__(self, tensor: Tensor, convert: Callable[[Tensor], Tensor]) -> None:
        self._tensor, self._convert, self._read = tensor, convert, 0

    def __getitem__(self, index: Any) -> Tensor:
        found = self._tensor[index]
        self._read += found.nbytes
        if self._read > _HELD:
            release(self._tensor)
            self._read = 0
        return self._convert(found)

    def ahead(self, windows: Windows, batches: Iterator[_Batch]) -> Iterator[_Batch]:
        """The same batches; the windows of the next one are read from the file meanwhile."""
        nothing: list[Any] = [None]
        for batch, following in pairwise(chain(batches, nothing)):
            if following is not None:
                simulation, time = (values.tolist() for values in windows.places(following[0]))
                expect(self._tensor, [(s, t, t + windows.length + 1) for s, t in zip(simulation, time, strict=True)])
            yield batch


class StoredStarts(WindowStarts):
    """The initial states of windows, all of which were measured in full, in a file.

    Raises:
        OnDiskError: some were not.
    """

    def __init__(self, observations: Observations, windows: Windows) -> None:
        train = observations.train
        self.initial_states, self.complete, self._windows = rows_of(observations.initial_states, train), True, windows
        if observations.window_states is not None:
            states = observations.window_states
        else:
            states = observations.values
            _, whole = states_measured(rows_of(observations.mask, train), ~observations.layout.valid)
            whole[:, 0] = True
            if missing := int((~windows.starts(whole)).sum()):
                raise OnDiskError(
                    f"{missing} training windows start where not everything was measured: a model's rollouts would "
                    "fill them, which are not kept on disk. Take num_predict_steps as long as the simulations, "
                    "observation.window_start: truth, or compute.on_disk: false"
                )
        self._states = StoredStates(rows_of(states, train), lambda found: found)

    def __getitem__(self, which: Tensor) -> Tensor:
        """Initial states of some windows, `[w, C, *space]`."""
        simulation, time = self._windows.places(which)
        states = self._states[simulation, time]
        initial = time == 0
        states[initial] = self.initial_states[simulation[initial]]
        return states

    def fill(self, predict: Predict, which: Tensor | None = None) -> StoredStarts:
        """See `WindowStarts.fill`: there is nothing to fill."""
        return self

    def set_initial(self, states: Tensor | None) -> None:
        """Refuse.

        Raises:
            OnDiskError: always, where there are any.
        """
        if states is not None:
            raise OnDiskError("initial states of data on disk cannot be estimated: take compute.on_disk: false")


class NormalisedStarts:
    """Stored starts as a network takes them."""

    def __init__(self, starts: StoredStarts, normalise: Callable[[Tensor], Tensor]) -> None:
        self._starts, self._normalise = starts, normalise

    def __getitem__(self, which: Any) -> Tensor:
        return self._normalise(self._starts[which])


def states_measured(mask: Tensor, padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Of which states anything was measured, and of which everything, `[S, T+1]` each.

    Args:
        mask: of values, `[S, T+1, C, K…]`.
        padding: entries that need not be, `[C, K…]`; None: there are none.
    """
    anything, everything = [], []
    for (part,) in parts(mask):
        anything.append(part.flatten(2).any(dim=2))
        everything.append((part if padding is None else part | padding).flatten(2).all(dim=2))
    return torch.cat(anything), torch.cat(everything)
