"""Baselines that know a cell by how it answers to uniform fields, alone or corrected by the field's local changes.

A direction map holds the thresholds of one cell and one pulse for uniform fields from all directions; the threshold in
a field that is not uniform is then looked up with the field at the soma. This is the usual uniform-field approximation
(5 degree grid; Aberra et al. 2023, doi 10.1016/j.neuroimage.2023.120184). The correction adds what a change of the
field along the cell does to it (as Weise et al. 2023, doi 10.1162/imag_a_00036, with the change along one axis).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.errors import InputError

STEP_DEG = 5
"""Grid of the published map."""

_ALPHAS = tuple(10.0**k for k in range(-5, 4))


def map_directions(step_deg: int = STEP_DEG) -> np.ndarray:
    """Directions (n, 3) of a map: the pole +z, rings of polar angle ``step_deg`` ..., azimuth ascending, the pole -z.

    Raises
    ------
    InputError
        If the step does not divide 180 degrees.
    """
    if step_deg < 1 or 180 % step_deg:
        raise InputError(f"step_deg: found {step_deg}; accepted is a divisor of 180")
    theta, phi = np.meshgrid(
        np.radians(np.arange(step_deg, 180, step_deg)), np.radians(np.arange(0, 360, step_deg)), indexing="ij"
    )
    ring = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    return np.concatenate([[[0.0, 0.0, 1.0]], ring.reshape(-1, 3), [[0.0, 0.0, -1.0]]])


@dataclass(frozen=True)
class DirectionMap:
    """Thresholds (n_theta, n_phi) in V/m on polar angles 0-180 and azimuths 0-360 degrees, both ends included."""

    threshold: np.ndarray

    @classmethod
    def from_thresholds(cls, threshold: np.ndarray, step_deg: int = STEP_DEG) -> DirectionMap:
        """Of thresholds (n,) at `map_directions`.

        Raises
        ------
        InputError
            If their number is wrong or one is not a positive number (a direction that never fires has none).
        """
        wanted = len(map_directions(step_deg))
        good = np.isfinite(threshold) & (np.asarray(threshold) > 0)
        if len(threshold) != wanted or not good.all():
            raise InputError(
                f"direction map: found {len(threshold)} thresholds, {int((~good).sum())} of them no positive number; "
                f"accepted are {wanted} positive numbers for a grid of {step_deg} degrees"
            )
        rings, turns = 180 // step_deg - 1, 360 // step_deg
        grid = np.empty((rings + 2, turns + 1))
        grid[0], grid[-1] = threshold[0], threshold[-1]
        grid[1:-1, :-1] = np.reshape(threshold[1:-1], (rings, turns))
        grid[:, -1] = grid[:, 0]
        return cls(grid)

    def __call__(self, direction: np.ndarray) -> np.ndarray:
        """Thresholds (N,) of a uniform field along (N, 3) of any length: bilinear in polar angle and azimuth."""
        direction = np.asarray(direction, dtype=np.float64)
        theta = np.arctan2(np.hypot(direction[:, 0], direction[:, 1]), direction[:, 2])
        phi = np.arctan2(direction[:, 1], direction[:, 0]) % (2 * np.pi)
        rows, columns = self.threshold.shape[0] - 1, self.threshold.shape[1] - 1
        i, a = _place(theta * rows / np.pi, rows)
        j, b = _place(phi * columns / (2 * np.pi), columns)
        grid = self.threshold
        return (1 - a) * ((1 - b) * grid[i, j] + b * grid[i, j + 1]) + a * (
            (1 - b) * grid[i + 1, j] + b * grid[i + 1, j + 1]
        )


def _place(at: np.ndarray, intervals: int) -> tuple[np.ndarray, np.ndarray]:
    """Interval (N,) and place in it (N,), 0-1, of positions counted in intervals."""
    low = np.clip(at.astype(np.int64), 0, intervals - 1)
    return low, np.clip(at - low, 0.0, 1.0)


def direction_harmonics(direction: np.ndarray) -> np.ndarray:
    """Real polynomials of unit vectors (N, 3) of degree 0 to 3, (N, 16): they span the spherical harmonics to l = 3."""
    x, y, z = np.asarray(direction, dtype=np.float64).T
    one = np.ones_like(x)
    return np.stack(
        [
            one, x, y, z,
            x * y, y * z, z * x, x * x - y * y, 3 * z * z - 1,
            x * y * z, z * (x * x - y * y), x * (x * x - 3 * y * y), y * (3 * x * x - y * y),
            z * (5 * z * z - 3), x * (5 * z * z - 1), y * (5 * z * z - 1),
        ],
        axis=1,
    )  # fmt: skip


class UniformPlusGradient:
    """A direction map times a correction by the local gradient, of one cell and one pulse.

    The logarithm of threshold over map is a ridge regression on the gradient terms over |E| (see
    `understudy.tms.field_basis`), each times the harmonics of the field's direction: which terminal fires depends on
    the direction, and how far it lies along the gradient depends on the terminal.
    """

    def __init__(self, direction_map: DirectionMap):
        # Imported here, as below: loading scikit-learn takes a second, and programs that only make maps need none.
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.direction_map = direction_map
        self.model = make_pipeline(StandardScaler(), RidgeCV(alphas=_ALPHAS))

    def fit(self, coefficients: np.ndarray, threshold: np.ndarray) -> UniformPlusGradient:
        """To thresholds (N,) in fields of coefficients (N, >= 11) over |E| at the soma."""
        self.model.fit(_gradient_features(coefficients), np.log(threshold / self.direction_map(coefficients[:, :3])))
        return self

    def predict(self, coefficients: np.ndarray) -> np.ndarray:
        """Thresholds (N,) in V/m at the soma."""
        return self.direction_map(coefficients[:, :3]) * np.exp(self.model.predict(_gradient_features(coefficients)))


def _gradient_features(coefficients: np.ndarray) -> np.ndarray:
    direction = coefficients[:, :3] / np.linalg.norm(coefficients[:, :3], axis=1, keepdims=True)
    gradient = coefficients[:, 3:11]
    product = gradient[:, :, None] * direction_harmonics(direction)[:, None, :]
    return np.concatenate([product.reshape(len(coefficients), -1), gradient**2], axis=1)


class BasisRidge:
    """Ridge regression of the logarithm of the threshold on a field's basis coefficients and their products, of one
    cell and one pulse."""

    def __init__(self):
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import PolynomialFeatures, StandardScaler

        self.model = make_pipeline(
            PolynomialFeatures(2, include_bias=False), StandardScaler(), RidgeCV(alphas=(*_ALPHAS, 1e4))
        )

    def fit(self, coefficients: np.ndarray, threshold: np.ndarray) -> BasisRidge:
        """To thresholds (N,) in fields of coefficients (N, 26) over |E| at the soma."""
        self.model.fit(coefficients, np.log(threshold))
        return self

    def predict(self, coefficients: np.ndarray) -> np.ndarray:
        """Thresholds (N,) in V/m at the soma."""
        return np.exp(self.model.predict(coefficients))
