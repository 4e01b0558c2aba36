"""Like terms of a sum, collected."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import fx

from hyco.stepping.rewrites.nodes import (
    SUMS,
    alpha_of,
    arguments,
    aten,
    drop_unused,
    exact,
    fixed_factor,
    is_product,
    moving_nodes,
    new,
    weight_of,
)


@dataclass
class _Term:
    """A number times a factor, which does not depend on the state, times a value, which does.

    Attributes:
        factor: None for 1.
    """

    number: float
    factor: fx.Node | None
    value: fx.Node


def collect_terms(graph: fx.Graph) -> None:
    """`a x + b x` as `(a + b) x` and `a x + a y` as `a (x + y)`, where a and b do not depend on the state.

    Each saves an operation, or in the gradient with respect to a parameter a sum over all cells.
    """
    moving = moving_nodes(graph)
    waiting = [node for node in graph.nodes if _is_sum(node, moving) and not _is_summand(node, moving)]
    while waiting:
        root = waiting.pop()
        if not root.users:
            continue  # part of another sum by now
        terms = _multiplied_out(_terms(root, 1.0, moving), root, moving)
        collected = _add_values(_add_factors(terms, root), root, moving)
        if collected and len(collected) < len(terms):
            made = _summed(collected, root, moving)
            old, now = root.meta["val"], made.meta["val"]
            if (now.shape, now.dtype) == (old.shape, old.dtype):  # not where a term that cancels was the largest
                root.replace_all_uses_with(made)
            drop_unused(graph)
            waiting += [term.value for term in collected if _is_sum(term.value, moving)]


def _is_sum(value: Any, moving: set[fx.Node]) -> bool:
    """Whether it is the sum of two tensors, both dependent on the state, with one kind of numbers."""
    return (
        isinstance(value, fx.Node)
        and value.target in SUMS
        and all(isinstance(i, fx.Node) and i in moving for i in value.args)
        and exact(value)
    )


def _is_summand(value: fx.Node, moving: set[fx.Node]) -> bool:
    """Whether it is needed in one other sum only."""
    return len(value.users) == 1 and _is_sum(next(iter(value.users)), moving)


def _terms(value: fx.Node, number: float, moving: set[fx.Node]) -> list[_Term]:
    """What a sum, times a number, is the sum of."""
    first, second = arguments(value)
    terms = []
    for summand, weight in ((first, number), (second, number * weight_of(value))):
        if _is_sum(summand, moving) and len(summand.users) == 1:
            terms += _terms(summand, weight, moving)
            continue
        factor = fixed_factor(summand, moving) if is_product(summand) else None
        terms.append(_Term(weight, None, summand) if factor is None else _Term(weight, *factor))
    return terms


def _multiplied_out(terms: list[_Term], before: fx.Node, moving: set[fx.Node]) -> list[_Term]:
    """`a (x + y)` as `a x + a y` where x is multiplied by another factor anyway, and so with more summands."""
    expanded = list(terms)
    for term in terms:
        if term.factor is None or not _is_sum(term.value, moving) or len(term.value.users) > 1:
            continue
        parts = _terms(term.value, term.number, moving)
        others = {other.value for other in expanded if other is not term and other.factor is not None}
        out = [part for part in parts if part.factor is None and part.value in others]
        rest = [part for part in parts if part not in out]
        if len(rest) == 1 and rest[0].factor is None:
            out, rest = parts, []
        if not out:
            continue
        expanded.remove(term)
        expanded += [_Term(part.number, term.factor, part.value) for part in out]
        if rest:
            left = [_Term(part.number / term.number, part.factor, part.value) for part in rest]
            expanded.append(_Term(term.number, term.factor, _summed(left, before, moving)))
    return expanded


def _groups(terms: Iterable[_Term], key: Callable[[_Term], Hashable]) -> list[list[_Term]]:
    """The terms with the same key together, in the order in which they come."""
    groups: dict[Hashable, list[_Term]] = {}
    for term in terms:
        groups.setdefault(key(term), []).append(term)
    return list(groups.values())


def _add_factors(terms: list[_Term], before: fx.Node) -> list[_Term]:
    """One term for all with the same value."""
    collected = []
    for group in _groups(terms, lambda term: term.value):
        plain = _sum([term.number for term in group if term.factor is None])
        # In one order and rounded, so that factors that are the same but for a number are seen to be so.
        scaled = sorted((term for term in group if term.factor is not None), key=lambda term: str(term.factor))
        number, factor = plain, None
        if scaled:
            number = plain or scaled[0].number
            weights = [float(f"{term.number / number:.14g}") for term in scaled]
            factor = scaled[0].factor
            if weights[0] != 1:
                factor = new(before, aten.mul.Tensor, factor, weights[0])
            for term, weight in zip(scaled[1:], weights[1:], strict=True):
                factor = new(before, aten.add.Tensor, factor, term.factor, **alpha_of(weight))
            if plain:
                factor = new(before, aten.add.Tensor, factor, 1.0)
        if number:
            collected.append(_Term(number, factor, group[0].value))
    return collected


def _sum(numbers: list[float]) -> float:
    """Their sum; 0 where all that is left of it is rounding."""
    total = sum(numbers)
    return total if abs(total) > 1e-15 * sum(map(abs, numbers)) else 0.0


def _add_values(terms: list[_Term], before: fx.Node, moving: set[fx.Node]) -> list[_Term]:
    """One term for all with the same factor whose values have the same shape."""
    collected = []
    for first, *others in _groups(terms, lambda term: (term.factor or term.value, term.value.meta["val"].shape)):
        value = first.value
        for term in others:
            value = new(before, aten.add.Tensor, value, term.value, **alpha_of(term.number / first.number))
            moving.add(value)
        collected.append(_Term(first.number, first.factor, value))
    return collected


def _summed(terms: list[_Term], before: fx.Node, moving: set[fx.Node]) -> fx.Node:
    """The sum, which begins with a term that needs no multiplication for itself, if there is one."""
    first = next((term for term in terms if term.factor is None and term.number == 1), terms[0])
    total = first.value
    if first.factor is not None:
        scaled = first.factor if first.number == 1 else new(before, aten.mul.Tensor, first.factor, first.number)
        total = new(before, aten.mul.Tensor, scaled, total)
    elif first.number != 1:
        total = new(before, aten.mul.Tensor, total, first.number)
    moving.add(total)
    for term in terms:
        if term is not first:
            factor = term.factor
            summand = term.value if factor is None else new(before, aten.mul.Tensor, factor, term.value)
            total = new(before, aten.add.Tensor, total, summand, **alpha_of(term.number))
            moving.update((summand, total))
    return total
