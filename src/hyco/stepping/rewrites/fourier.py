"""Fourier transforms: of several dimensions at once, and of real numbers with half of the coefficients."""

from __future__ import annotations

from torch import fx

from hyco.stepping.rewrites.nodes import arguments, aten, drop_unused, is_product, moving_nodes, new, real_of, replace


def transform(graph: fx.Graph) -> None:
    """Fourier transforms along several dimensions at once, and those of real numbers without a complex copy of them."""
    for node in list(graph.nodes):
        if node.target is aten._fft_c2c.default and len(node.users) == 1:
            source, dims, norm, forward = arguments(node)
            (user,) = node.users
            same = user.target is aten._fft_c2c.default and user.args[2:] == (norm, forward)
            if same and not set(dims) & set(arguments(user)[1]):
                replace(user, aten._fft_c2c.default, source, sorted([*dims, *arguments(user)[1]]), norm, forward)
    drop_unused(graph)
    for node in list(graph.nodes):
        if node.target is aten._fft_c2c.default and arguments(node)[3]:
            copied, dims, norm, _ = arguments(node)
            if copied.target is aten._to_copy.default and arguments(copied)[0].meta["val"].dtype.is_floating_point:
                # All the coefficients, also those that are the conjugates of others.
                replace(node, aten._fft_r2c.default, arguments(copied)[0], dims, norm, False)
    drop_unused(graph)


def halve_spectra(graph: fx.Graph) -> None:
    """The real part of an inverse transform, of the transform of real numbers times a factor, in half the coefficients.

    With X(-k) = X(k)*, the real part of the inverse transform of X F is the inverse transform of the Hermitian part of
    X F, which is X(k) (F(k) + F(-k)*)/2: half of its coefficients say all. Only for an F that does not depend on the
    state, so that this factor is worked out once.
    """
    moving = moving_nodes(graph)
    for node in list(graph.nodes):
        inverted = _real_part(node)
        if inverted is None:
            continue
        product, norm = inverted
        one, other = arguments(product)
        spectrum, factor = (one, other) if one in moving else (other, one)
        whole = spectrum.target is aten._fft_r2c.default and len(spectrum.users) == 1 and not arguments(spectrum)[3]
        shape, rank = node.meta["val"].shape, node.meta["val"].ndim
        if not whole or factor in moving or spectrum.meta["val"].shape != shape:
            continue
        source, dims, forward_norm, _ = arguments(spectrum)
        if sorted(dims) != sorted(_transformed(product)):
            continue
        half = new(node, aten._fft_r2c.default, source, dims, forward_norm, True)
        hermitian = _hermitian_half(node, factor, [dim - rank for dim in dims])
        made = new(node, aten.mul.Tensor, half, hermitian)
        replace(node, aten._fft_c2r.default, made, dims, norm, shape[dims[-1]])
    drop_unused(graph)


def _real_part(node: fx.Node) -> tuple[fx.Node, int] | None:
    """The product whose inverse transform a node is the real part of, and how that is normalised."""
    if node.target is not aten.select.int or node.args[1:] != (node.meta["val"].ndim, 0):
        return None
    pairs = arguments(node)[0]
    if pairs.target is not aten.view_as_real.default or len(pairs.users) > 1:
        return None
    (inverse,) = arguments(pairs)
    if inverse.target is not aten._fft_c2c.default or len(inverse.users) > 1 or arguments(inverse)[3]:
        return None
    product, _, norm, _ = arguments(inverse)
    return (product, norm) if is_product(product) and isinstance(product.args[1], fx.Node) else None


def _transformed(product: fx.Node) -> list[int]:
    """The dimensions of the transform that takes a product."""
    (transform_of_it,) = product.users
    dims: list[int] = arguments(transform_of_it)[1]
    return dims


def _hermitian_half(node: fx.Node, factor: fx.Node, dims: list[int]) -> fx.Node:
    """(F(k) + F(-k)*)/2 for the k that a real transform has; the dimensions count from the end."""
    real = real_of(factor)
    values = real or factor
    shape = values.meta["val"].shape
    present = [dim % len(shape) for dim in dims if -dim <= len(shape) and shape[dim] > 1]
    mirrored = values
    if present:
        flipped = new(node, aten.flip.default, values, present)
        mirrored = new(node, aten.roll.default, flipped, [1] * len(present), present)
    if values.meta["val"].is_complex():
        mirrored = new(node, aten.conj_physical.default, mirrored)
    if -dims[-1] <= len(shape) and shape[dims[-1]] > 1:
        last = dims[-1] % len(shape)
        end = shape[last] // 2 + 1
        values, mirrored = (new(node, aten.slice.Tensor, half, last, 0, end) for half in (values, mirrored))
    mean = new(node, aten.mul.Tensor, new(node, aten.add.Tensor, values, mirrored), 0.5)
    return new(node, aten._to_copy.default, mean, dtype=factor.meta["val"].dtype) if real else mean
