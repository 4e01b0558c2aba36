"""How sure an optimum is: covariance, identifiability and pull of the parameters' coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyco.inversion.identifiability import Identifiability, identifiability
from hyco.inversion.linearisation import Linearisation
from hyco.inversion.loss import Huber, share_of_outliers
from hyco.inversion.marginal import marginal_information, symmetric_root
from hyco.inversion.prior_doubt import mixture
from hyco.inversion.uncertainty import INTERVAL, Uncertainty, laplace
from hyco.parameters import ParameterSpace
from hyco.runtime.forward import jacobian

# Unknowns whose covariance is computed as a whole; beyond, initial states are taken out of it iteratively, and, where
# the parameters alone are more, their fields too.
LARGEST_DENSE = 2000


@dataclass(frozen=True)
class Assessment:
    """How sure the current coordinates of the parameters are.

    Attributes:
        uncertainty: of these coordinates, unknown initial states and other fields left free.
        identifiability: what the data alone say of them.
        kept: which coordinates all of this is of, `[p]`: all of the parameters', or, where fields have too many, those
            of numbers alone.
        pull: how far they are from the minimum on real data (and prior) alone, to first order, in standard deviations,
            with sign, `[p]`: about 0 for physics alone; in a hybrid the bias that the network's predictions bring.
        joint: covariance of all coordinates, those of unknown initial states too, `[q, q]`; None where they are too
            many.
        outliers: share of the residuals that are larger than three standard deviations, where the loss is robust; None
            where it is not.
        white: standard deviations `[p]` if the noise were white, where the residuals say that it is not, so that the
            covariance is that of correlated noise; None elsewhere.
        doubt: how many times the standard deviations `[p]` are as large as under the prior of the initial states that
            the measurements told, since they might have told another; None where there is no such doubt.
    """

    uncertainty: Uncertainty
    identifiability: Identifiability
    kept: Tensor
    pull: Tensor
    joint: Tensor | None = None
    outliers: float | None = None
    white: Tensor | None = None
    doubt: Tensor | None = None


@torch.no_grad()
def assess(linear: Linearisation, space: ParameterSpace) -> Assessment:
    """Covariance and identifiability at one point, from the real data (and the prior) alone.

    Args:
        linear: the problem near the point.
        space: of the parameters, whose coordinates are the first ones.
    """
    if len(linear.z) > LARGEST_DENSE:
        return _assess_iteratively(linear, space)
    residual, jacobian = (v.cpu() for v in linear.dense())
    prior_residual, prior = (v.cpu() for v in linear.prior())
    known_noise, p = linear.known_noise, linear.parameter_count
    if isinstance(linear.loss, Huber):
        return _assess_robustly(linear, space, linear.loss, residual, jacobian, prior_residual, prior)
    whole = laplace(
        jacobian,
        residual,
        prior=prior if len(prior) else None,
        known_noise=known_noise,
        noisy=None if linear.noisy is None else linear.noisy.cpu(),
    )
    doubt = None
    if linear.other_priors is not None and whole.noise_told:
        unit = 1.0 if known_noise else max(whole.reduced_chi_square, 1.0) ** 0.5
        own = (prior[:, p:] == 0).all(dim=1)  # not of initial states
        xi = linear.z[p:].cpu()
        mixed = mixture(jacobian / unit, residual / unit, prior[own], prior_residual[own], xi, linear.other_priors)
        doubt = torch.nan_to_num((mixed.diagonal() / whole.covariance.diagonal()).sqrt()[:p], nan=1.0).clamp_min(1.0)
        whole = replace(whole, covariance=mixed)
    uncertainty = replace(whole, covariance=whole.covariance[:p, :p])
    data = without_initial_states(jacobian if known_noise else jacobian / _noise(uncertainty), prior, p)
    # The minimum is that of the residuals in units of σ, whatever the noise turns out to be.
    plain = whole if known_noise else laplace(jacobian, residual, prior=prior if len(prior) else None)
    slope = jacobian.T @ residual
    if len(prior):
        slope = slope + prior.T @ prior_residual
    pull = _pull(linear, slope, plain.covariance, uncertainty)
    determined = identifiability(data, space.width, space.labels)
    return Assessment(uncertainty, determined, torch.arange(p), pull, whole.covariance, doubt=doubt)


def _assess_robustly(
    linear: Linearisation,
    space: ParameterSpace,
    loss: Huber,
    residual: Tensor,
    jacobian: Tensor,
    prior_residual: Tensor,
    prior: Tensor,
) -> Assessment:
    """The same for a robust loss: the covariance of an M-estimator, see `hyco.inversion.loss`."""
    p, some = linear.parameter_count, prior if len(prior) else None
    noisy = None if linear.noisy is None else linear.noisy.cpu()
    # The curvature of the loss is that of squares times the share of residuals that still feel it.
    felt = max(float((residual.abs() <= loss.delta).double().mean()), 1e-12) ** 0.5 * jacobian
    curved = laplace(felt, residual, prior=some)
    explained = float(((felt @ curved.covariance) * felt).sum()) if bool(curved.covariance.isfinite().all()) else p
    robust = loss.linearised(residual, explained, noisy)
    effective = robust.precision * jacobian
    whole = laplace(effective, torch.zeros_like(residual), prior=some)
    freedom = math.inf if linear.known_noise else max(robust.freedom, 0.0)
    uncertainty = Uncertainty(
        whole.information,
        whole.covariance[:p, :p],
        robust.reduced_chi_square,
        freedom,
        max(robust.freedom, 0.0),
        robust.precision,
        robust.slope,
    )
    if not uncertainty.noise_told:
        uncertainty = replace(uncertainty, covariance=torch.full((p, p), torch.inf, dtype=residual.dtype))
    data = without_initial_states(effective / (uncertainty.quantile / (INTERVAL / 2)), prior, p)
    slope = jacobian.T @ loss.pull(residual)
    if some is not None:
        slope = slope + prior.T @ prior_residual
    pull = _pull(linear, slope, curved.covariance, uncertainty)
    determined = identifiability(data, space.width, space.labels)
    outliers = share_of_outliers(residual if noisy is None else residual[noisy])
    return Assessment(uncertainty, determined, torch.arange(p), pull, whole.covariance, outliers)


def _pull(linear: Linearisation, slope: Tensor, inverse: Tensor, uncertainty: Uncertainty) -> Tensor:
    """How far the parameters are from the minimum, in standard deviations, `[p]`."""
    p = linear.parameter_count
    held = linear.box.held(linear.z.cpu(), slope)
    step = torch.nan_to_num(inverse, posinf=0.0)[:p] @ torch.where(held, 0.0, slope)
    return torch.where(held[:p], 0.0, torch.nan_to_num(step / uncertainty.std, nan=0.0, posinf=0.0, neginf=0.0))


def _assess_iteratively(linear: Linearisation, space: ParameterSpace) -> Assessment:
    """The same without a matrix over all unknowns."""
    p, z = linear.parameter_count, linear.z
    kept = torch.arange(p) if p <= LARGEST_DENSE else torch.tensor(space.of_numbers)
    marginal = marginal_information(linear, kept)
    root = symmetric_root(marginal.information.cpu())
    theta = z[:p].clone()
    prior = jacobian(lambda c: space.prior_residuals(theta.index_copy(0, kept.to(z.device), c)), theta[kept])
    prior = prior.cpu()
    scale = 1.0 if linear.known_noise else max(marginal.reduced_chi_square, 1e-300) ** 0.5
    if len(prior):
        scale = max(scale, 1.0)
    whole = laplace(root / scale, root.new_zeros(len(kept)), prior=prior if len(prior) else None)
    freedom = math.inf if linear.known_noise else marginal.freedom
    left = max(marginal.freedom, 0.0)
    uncertainty = Uncertainty(whole.information, whole.covariance, marginal.reduced_chi_square, freedom, left)
    if not uncertainty.noise_told:
        unknown = torch.full_like(whole.covariance, torch.inf)
        uncertainty = Uncertainty(whole.information, unknown, torch.inf, max(freedom, 0.0), left)
    plain = whole if scale == 1 else laplace(root, root.new_zeros(len(kept)), prior=prior if len(prior) else None)
    slope = marginal.slope.cpu()
    if len(prior):
        slope = slope + prior.T @ space.prior_residuals(theta).cpu()
    box = linear.box.select(kept)
    held = box.held(theta.cpu()[kept], slope)
    step = torch.nan_to_num(plain.covariance, posinf=0.0) @ torch.where(held, 0.0, slope)
    pull = torch.where(held, 0.0, torch.nan_to_num(step / uncertainty.std, nan=0.0, posinf=0.0, neginf=0.0))
    labels = [space.labels[i] for i in kept.tolist()]
    doubt = uncertainty.quantile / (INTERVAL / 2)
    return Assessment(uncertainty, identifiability(root / (scale * doubt), box.width, labels), kept, pull)


def _noise(uncertainty: Uncertainty) -> float:
    """What a whitened residual is divided by where σ is not the noise: the residuals tell it, and with how much doubt.

    A 95 % interval is as many of these as it is standard deviations where the noise is known.
    """
    chi = math.sqrt(max(uncertainty.reduced_chi_square, 1e-300))
    return chi * uncertainty.quantile / (INTERVAL / 2)


def without_initial_states(jacobian: Tensor, prior: Tensor, p: int) -> Tensor:
    """What is left of the parameters' columns when the initial states, with their prior, explain what they can."""
    theta, xi = jacobian[:, :p], jacobian[:, p:]
    if xi.shape[1] == 0:
        return theta
    held = prior[(prior[:, :p] == 0).all(dim=1)][:, p:] if len(prior) else prior[:, p:]
    theta, xi = torch.cat([theta, theta.new_zeros((len(held), p))]), torch.cat([xi, held])
    # Padding is never measured: a column of zeros would take a direction of its own out of the measurements.
    xi = xi[:, xi.square().sum(dim=0) > 0]
    Q, _ = torch.linalg.qr(xi)
    rest: Tensor = theta - Q @ (Q.T @ theta)
    return rest
