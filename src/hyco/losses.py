"""Weighted mean squares over a group of samples (a model's loss: α · real + (1 - α) · the other model)."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_square(error: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of error² over all entries, or over those of the mask; 0 where there are none.

    Entries outside the mask do not count even if they are not finite.
    """
    if mask is None:
        return error.square().mean() if error.numel() else error.sum()
    squares = torch.where(mask, error, torch.zeros_like(error)).square()
    return squares.sum() / mask.sum().clamp_min(1)


def scaled_errors(error: Tensor, mask: Tensor | None = None) -> Tensor:
    """Errors, flat, whose squares sum up to `mean_square`."""
    counted = error if mask is None else torch.where(mask, error, torch.zeros_like(error))
    count = error.new_tensor(max(1, error.numel())) if mask is None else mask.sum().clamp_min(1)
    return counted.flatten() / count.sqrt()


def weighted_loss(alpha: float, real: Tensor | None, model: Tensor | None) -> Tensor:
    """L = α · real + (1 - α) · model, both means over their own group.

    A group that is None is left out, not multiplied by zero.

    Raises:
        ValueError: there is no group at all.
    """
    terms = []
    if real is not None:
        terms.append(real if alpha == 1 else alpha * real)
    if model is not None:
        terms.append((1 - alpha) * model if alpha > 0 else model)
    if not terms:
        raise ValueError("a loss needs real data, predictions of the other model, or both")
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]
