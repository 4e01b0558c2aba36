"""A step with its parameters given, and rollouts of it that stay in the processor's cache."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyco.stepping.native.library import Native
from hyco.stepping.rollout import TimedStep
from hyco.stepping.samples import Samples

log = logging.getLogger(__name__)

# Bytes of a field of the states that each thread computes with at once, without a gradient, where there is half as much
# again or more: with what a step has beside it that stays in the second cache of a core. Measured with one thread on 20
# samples of 64² cells and 5 of 128²: rollouts of Burgers take .65 and .61 of the time of all samples at once, of
# Gray-Scott .64 and .62, of smoke .72, of Navier-Stokes .88. Gradients gain up to a fifth, or lose as much: they are of
# all samples at once.
_BYTES_AT_ONCE = 3 * 2**16


@dataclass(frozen=True)
class BoundStep(TimedStep):
    """One `dt` of an equation with given parameters, for one batch size.

    Attributes:
        run: one sub-step, from the state, the time if there is one, and `inputs` to the next state.
        inputs: all that it takes beside state and time: the parameters, or what was worked out from them.
        time: t where a rollout begins, `[]` or `[B]` float64; None: the step is the same at all times.
        dt: by which t grows in a step.
        before: steps from `time` to the step with the number 0, where a rollout is a part of another.
        samples: how it is done part by part; None: all samples go at once.
    """

    run: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]
    substeps: int
    time: Tensor | None = None
    dt: float = 0.0
    before: int = 0
    samples: Samples | None = None

    def __call__(self, state: Tensor, number: int = 0) -> Tensor:
        """Advance `state` `[B, C, *space]` by one `dt`, from t = time + (before + number) dt on."""
        if self.time is None:
            for _ in range(self.substeps):
                state = self.run(state, *self.inputs)
            return state
        first = (self.before + number) * self.substeps
        for i in range(first, first + self.substeps):
            state = self.run(state, self._time(i).to(state.dtype), *self.inputs)
        return state

    def _time(self, substeps: int) -> Tensor:
        """Time after so many sub-steps: from the beginning, so that it has no error that grows."""
        assert self.time is not None
        return self.time + substeps * self.dt / self.substeps

    def states(self, state: Tensor, steps: int, read: Sequence[int]) -> tuple[Tensor, Tensor]:
        """See `TimedStep.states`: in one call where the code of the step is hyco's own, else as the cache has room."""
        if not isinstance(self.run, Native):
            size = self._samples_at_once(state)
            if size == len(state) or not self._is_apart(state, size):
                return super().states(state, steps, read)
            found = [step.states(part, steps, read) for step, part in self._parts(state, size)]
            states, last = zip(*found, strict=True)
            return torch.cat(states), torch.cat(last)
        count, times = steps * self.substeps, None
        if self.time is not None:
            first = self.before * self.substeps
            times = torch.stack([self._time(i) for i in range(first, first + count)], dim=-1)
        return self.run.rollout(state, self.inputs, count, [number * self.substeps for number in read], times)

    def _samples_at_once(self, state: Tensor) -> int:
        """How many samples a part has, as many as the others if possible."""
        count, field = len(state), state[:, 0].numel() * state.element_size()
        sloped = torch.is_grad_enabled() and any(value.requires_grad for value in (state, *self.inputs))
        room = _BYTES_AT_ONCE * torch.get_num_threads()
        if self.samples is None or state.device.type != "cpu" or sloped or field <= 1.5 * room:
            return count
        parts = -(-count // max(1, room * count // field))
        return -(-count // parts)

    def _is_apart(self, state: Tensor, size: int) -> bool:
        """Whether the first part alone becomes what it becomes among all samples: an equation may mix them."""
        assert self.samples is not None
        if self.samples.apart is None:
            step, part = next(self._parts(state, size))
            found, expected = (replace(own, substeps=1)(given) for own, given in ((step, part), (self, state)))
            tolerance = 1e-9 if state.dtype == torch.float64 else 1e-4
            largest = float(expected.abs().nan_to_num(posinf=0.0).max())
            close = torch.allclose(found, expected[:size], tolerance, tolerance * largest, equal_nan=True)
            if not close:
                log.info("The step of a sample depends on the others: they are rolled out together.")
            self.samples.apart = close
        return self.samples.apart

    def _parts(self, state: Tensor, size: int) -> Iterator[tuple[BoundStep, Tensor]]:
        """The step for so many samples after the other, and their states."""
        assert self.samples is not None
        count = -(-len(state) // size)
        columns = [
            (value,) * count if dim is None else torch.split(value, size, dim)
            for value, dim in zip(self.inputs, self.samples.dims, strict=True)
        ]
        begins = (self.time,) * count if self.time is None or not self.time.ndim else torch.split(self.time, size)
        for k, part in enumerate(torch.split(state, size)):
            yield replace(self, inputs=tuple(i[k] for i in columns), time=begins[k], samples=None), part
