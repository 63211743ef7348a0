"""Divergence-free polynomial fields about a neuron: few numbers instead of a cube of field samples.

Inside a tissue of one conductivity the quasi-static field of a coil has no divergence (no charge piles up there), so
its Taylor series has 3 uniform terms, 8 gradients (3 x 3 without the trace) and 15 of second order (18 less the three
conditions that a vanishing gradient of the divergence sets). Magnetic induction allows a curl, so the gradient is not
symmetric. A jump of conductivity within the box is what such a series cannot hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TERMS = (3, 8, 15)
"""Independent terms of order 0, 1 and 2."""


def count_terms(order: int) -> int:
    """Number of terms up to ``order`` (0, 1 or 2)."""
    return sum(TERMS[: order + 1])


def basis(points: np.ndarray, order: int = 2) -> np.ndarray:
    """Basis fields at points.

    Parameters
    ----------
    points : (P, 3) mm from the point about which the field is expanded.
    order : 0, 1 or 2.

    Returns
    -------
    (P, 3, T) with T of `count_terms`. Terms of order k are homogeneous polynomials of degree k in mm, so a coefficient
    is in V/m per mm^k.
    """
    x, y, z = np.asarray(points, dtype=np.float64).T
    none, one = np.zeros_like(x), np.ones_like(x)
    terms = [(one, none, none), (none, one, none), (none, none, one)]
    if order >= 1:
        terms += [
            (y, none, none),
            (z, none, none),
            (none, x, none),
            (none, z, none),
            (none, none, x),
            (none, none, y),
            (x, -y, none),
            (-0.5 * x, -0.5 * y, z),
        ]
    if order >= 2:
        # Components without their own coordinate have no divergence of their own ...
        terms += [(y * y, none, none), (y * z, none, none), (z * z, none, none)]
        terms += [(none, x * x, none), (none, x * z, none), (none, z * z, none)]
        terms += [(none, none, x * x), (none, none, x * y), (none, none, y * y)]
        # ... the others balance in pairs: two conditions' worth for a divergence along x, y and z each.
        terms += [(none, x * y, -x * z), (x * x, -x * y, -x * z)]
        terms += [(-x * y, none, y * z), (-x * y, y * y, -y * z)]
        terms += [(x * z, -y * z, none), (-x * z, -y * z, z * z)]
    return np.stack([np.stack(term, axis=1) for term in terms], axis=2)


def fit(points: np.ndarray, field: np.ndarray, order: int = 2) -> np.ndarray:
    """Coefficients (N, T) of the basis, least squares over points (P, 3) mm with fields (N, P, 3) V/m."""
    values = basis(points, order)
    flat = values.reshape(-1, values.shape[2])
    field = np.asarray(field, dtype=np.float64)
    return np.linalg.lstsq(flat, field.reshape(len(field), -1).T, rcond=None)[0].T


def fit_normalised(points: np.ndarray, field: np.ndarray, centre_field: np.ndarray, order: int = 2) -> np.ndarray:
    """Coefficients (N, T) over the field strength |E| at the centre, from the field (N, 3) there: free of amplitude."""
    return fit(points, field, order) / np.linalg.norm(centre_field, axis=1, keepdims=True)


@dataclass(frozen=True)
class VarianceShares:
    """Shares (N,) of a field's mean square in a box that lie beyond the best uniform, linear and second-order field.

    The root of a share is the relative departure, |E - fit| over |E|, both root mean squares over the box.
    """

    uniform: np.ndarray
    linear: np.ndarray
    second_order: np.ndarray


def shares_beyond(points: np.ndarray, field: np.ndarray) -> VarianceShares:
    """Shares of the mean square field (N, P, 3) at points (P, 3) mm that polynomial fields of order 0, 1, 2 leave."""
    field = np.asarray(field, dtype=np.float64)
    power = np.einsum("npi,npi->n", field, field)
    left = []
    for order in range(3):
        residual = field - np.einsum("pit,nt->npi", basis(points, order), fit(points, field, order))
        left.append(np.einsum("npi,npi->n", residual, residual) / power)
    return VarianceShares(*left)


def random_fields(
    count: int,
    generator: np.random.Generator,
    gradient_per_mm: tuple[float, float] = (0.1, 0.3),
    second_per_mm2: tuple[float, float] = (0.0, 0.2),
) -> np.ndarray:
    """Coefficients (count, 26) of random fields of unit strength at the centre, directions uniform on the sphere.

    Parameters
    ----------
    gradient_per_mm : range of the root mean square over directions of the field's change over 1 mm.
    second_per_mm2 : the same for what is of second order, over 1 mm^2.
    """
    coefficients = np.zeros((count, count_terms(2)))
    direction = generator.normal(size=(count, 3))
    coefficients[:, :3] = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    sphere = generator.normal(size=(2000, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    values = basis(sphere)
    for part, (low, high) in ((slice(3, 11), gradient_per_mm), (slice(11, 26), second_per_mm2)):
        drawn = generator.normal(size=(count, part.stop - part.start))
        change = np.einsum("pit,nt->npi", values[:, :, part], drawn)
        size = np.sqrt(np.einsum("npi,npi->n", change, change) / len(sphere))
        coefficients[:, part] = drawn / size[:, None] * generator.uniform(low, high, size=(count, 1))
    return coefficients


def potential_of(points: np.ndarray, parent: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Quasi-potentials (N, M) in mV of polynomial fields along a tree.

    Minus the integral of E along the straight line from parent to child, by Simpson's rule, which is exact for
    second order.

    Parameters
    ----------
    points : (M, 3) um, parents before children; 0 is the root, where the potential is 0.
    parent : (M,) number of the parent, -1 for the root.
    coefficients : (N, T) of `basis` about the origin of the points, V/m per mm^k.
    """
    order = {3: 0, 11: 1, 26: 2}[coefficients.shape[1]]
    end, start = points[1:], points[parent[1:]]
    line = 1e-3 * (end - start)
    mean = (basis(1e-3 * start, order) + 4 * basis(1e-3 * 0.5 * (start + end), order) + basis(1e-3 * end, order)) / 6
    # V/m times mm is mV.
    step = -np.einsum("mit,mi->mt", mean, line)
    total = np.zeros((len(points), coefficients.shape[1]))
    for child in range(1, len(points)):
        total[child] = total[parent[child]] + step[child - 1]
    return coefficients @ total.T
