"""Updates of a network's weights by their gradients: Adam, AdamW and SGD as torch's fused kernels compute them.

The classes of `torch.optim` give the same numbers, but import torch's compiler and SymPy, which takes a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

# D. P. Kingma, J. Ba, ICLR 2015 (arXiv 1412.6980); I. Loshchilov, F. Hutter, ICLR 2019 (arXiv 1711.05101).
_ADAPTIVE = {"adam": torch._fused_adam_, "adamw": torch._fused_adamw_}
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


class Optimiser:
    """Weights and what their updates remember.

    With the gradient g, `sgd` is w ← w - η g; `adam` is w ← w - η m̂ / (√v̂ + 1e-8), with the averages m of g (decay
    0.9) and v of g² (decay 0.999), both divided by one minus their decay to the power of the number of updates. Weight
    decay λ adds λ w to g, in `adamw` η λ w to the update.

    Args:
        weights: on one device, and of one type of number there unless it is the CPU.
        rule: `adam`, `adamw` or `sgd`.
        weight_decay: λ.

    Raises:
        ValueError: a weight that may be trained is no real number, or does not fill the memory that it spans.

    Attributes:
        state: of each weight that has had a gradient, with `adam` and `adamw`: `step`, the number of its updates, and
            the averages `exp_avg` and `exp_avg_sq`.
    """

    def __init__(self, weights: Iterable[Tensor], rule: str = "adam", weight_decay: float = 0.0) -> None:
        self.weights, self._rule, self._decay = list(weights), rule, weight_decay
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        for weight in self.weights:
            _require_trainable(weight)

    def clear_gradients(self) -> None:
        """Before a loss is differentiated: no weight has a gradient."""
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, rate: float, left_out: Tensor | None = None) -> None:
        """Update the weights that have a gradient.

        Args:
            rate: η.
            left_out: where this is 1, and not 0, nothing changes, `[]` float32 on the weights' device: it need not be
                read for that; None: 0.
        """
        weights = [weight for weight in self.weights if weight.grad is not None]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if not weights:
            return
        common: dict[str, Any] = {"lr": rate, "weight_decay": self._decay, "maximize": False, "found_inf": left_out}
        if self._rule == "sgd":
            unused: dict[str, Any] = {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "is_first_step": False}
            torch._fused_sgd_(weights, gradients, [], **common, **unused)
            return
        states = [self._of(weight) for weight in weights]
        steps, means, squares = ([state[key] for state in states] for key in ("step", "exp_avg", "exp_avg_sq"))
        torch._foreach_add_(steps, 1)
        numbers: dict[str, Any] = {"beta1": _BETA1, "beta2": _BETA2, "eps": _EPSILON, "amsgrad": False}
        _ADAPTIVE[self._rule](weights, gradients, means, squares, [], steps, **common, **numbers)
        if left_out is not None:
            torch._foreach_sub_(steps, [left_out] * len(steps))

    def _of(self, weight: Tensor) -> dict[str, Tensor]:
        """What is remembered of a weight: at first nothing."""
        if weight not in self.state:
            averages = {key: torch.zeros_like(weight) for key in ("exp_avg", "exp_avg_sq")}
            self.state[weight] = {"step": torch.zeros((), device=weight.device), **averages}
        return self.state[weight]

    def tensors(self) -> dict[str, Tensor]:
        """What it remembers, by the number of the weight and the name."""
        return {
            f"{number}.{key}": value
            for number, weight in enumerate(self.weights)
            for key, value in self.state.get(weight, {}).items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `tensors` of an optimiser of the same weights.

        What has the shape of a weight lies in memory as that does, so that the same operations follow.

        Raises:
            ValueError: a tensor has another shape than the weight that it belongs to.
        """
        self.state = {}
        for name, value in tensors.items():
            number, _, key = name.partition(".")
            like = self.weights[int(number)]
            if value.shape != like.shape and value.numel() != 1:
                there, here = list(value.shape), list(like.shape)
                raise ValueError(f"optimizer/{name} has the shape {there}, its weights have {here}")
            same = value.shape == like.shape and key != "step"
            own = torch.empty_like(like) if same else torch.empty_like(value, device=like.device)
            self.state.setdefault(like, {})[key] = own.copy_(value)


def _require_trainable(weight: Tensor) -> None:
    """Refuse what the kernels get wrong: they take the numbers of a tensor one after the other as memory has them."""
    if not weight.requires_grad:
        return
    kind = f"a weight of the network, of shape {list(weight.shape)},"
    if not weight.is_floating_point():
        kept = "keep real and imaginary part as two real numbers (torch.view_as_real)"
        raise ValueError(f"{kind} is {str(weight.dtype).removeprefix('torch.')}; weights are real: {kept}")
    if torch.empty_like(weight).stride() != weight.stride():  # it keeps those of a tensor without gaps and repetitions
        raise ValueError(f"{kind} is a part of another tensor, or repeats itself: make it of a copy (.clone())")
