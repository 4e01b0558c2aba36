"""Rules that make a recorded step cheaper: each replaces tensor operations by cheaper ones, equal up to rounding."""

from __future__ import annotations

import torch
from torch import fx

from hyco.stepping.rewrites.complex_numbers import use_pairs
from hyco.stepping.rewrites.fourier import halve_spectra, transform
from hyco.stepping.rewrites.idle import count_from_the_front, drop_idle, merge_equal, take_any_strides
from hyco.stepping.rewrites.layout import keep_scalars, keep_selected, permute_late, restore_stacks
from hyco.stepping.rewrites.nodes import aten
from hyco.stepping.rewrites.shifts import roll
from hyco.stepping.rewrites.sums import add_products, carry_numbers, unnest_sums
from hyco.stepping.rewrites.terms import collect_terms
from hyco.stepping.rewrites.transforms import use_real_gradients

# Operators of these names take the same arguments as the functions of torch of these names.
_FUNCTIONS = {"abs", "add", "addcmul", "cat", "div", "exp", "gt", "lt", "maximum", "minimum", "mul", "neg", "permute"}
_FUNCTIONS |= {"reshape", "roll", "rsub", "select", "sign", "sqrt", "stack", "sub", "sum", "tanh", "unsqueeze", "where"}
_FUNCTIONS |= {"_fft_c2c", "_fft_c2r", "_fft_r2c", "clamp", "view_as_complex", "view_as_real"}


def simplify(graph: fx.Graph) -> None:
    """Leave out what changes nothing or is computed twice, and take one operation where there are several.

    - Operations that leave a tensor as it is are dropped.
    - PhiML puts the dimension of a stack last; what is computed from it is computed with the dimensions in the order
      of what was stacked, where memory is contiguous.
    - One number has no dimensions, whatever it is computed with.
    - A slice of a tensor with its own ends in front and behind, a periodic shift, becomes a roll: its gradient is one
      operation instead of five, and a compiler needs no copy of the tensor.
    - Fourier transforms along one dimension after the other become one transform; that of real numbers needs no complex
      copy of them, and back to real numbers half of the coefficients.
    - Numbers that tensors are multiplied by go along with what is computed, to a sum or a product that takes them for
      nothing.
    - Like terms of a sum are collected: one product for all with the same value, or with the same coefficient.
    - Complex numbers are pairs of real ones, where only sums and real factors meet them.
    - A product that is added becomes one operation with the sum.
    """
    count_from_the_front(graph)
    take_any_strides(graph)
    drop_idle(graph)
    merge_equal(graph)
    restore_stacks(graph)
    keep_selected(graph)
    drop_idle(graph)
    permute_late(graph)
    merge_equal(graph)
    roll(graph)
    merge_equal(graph)
    transform(graph)
    halve_spectra(graph)
    carry_numbers(graph)
    merge_equal(graph)
    collect_terms(graph)
    merge_equal(graph)
    unnest_sums(graph)
    use_pairs(graph)
    merge_equal(graph)
    add_products(graph)
    keep_scalars(graph)


def call_torch(graph: fx.Graph) -> None:
    """Call the functions of torch instead of the operators behind them: the call takes a third less time."""
    use_real_gradients(graph)
    for node in graph.nodes:
        if node.target is aten.slice.Tensor and len(node.args) == 4:
            source, dim, start, end = node.args
            length = node.meta["val"].shape[dim]
            if isinstance(start, int) and isinstance(end, int) and start >= 0 and end - start == length:
                node.target, node.args = torch.narrow, (source, dim, start, length)
        elif isinstance(node.target, torch._ops.OpOverload):
            name = node.target._schema.name.removeprefix("aten::")
            if name in _FUNCTIONS:
                node.target = getattr(torch, name)
