"""Direction maps and their correction by gradients."""

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.tms.direction_maps import (
    BasisRidge,
    DirectionMap,
    UniformPlusGradient,
    direction_harmonics,
    map_directions,
)
from understudy.tms.field_basis import random_fields


def law(direction):
    """Thresholds (N,) that vary smoothly by a factor of about two."""
    x, y, z = direction.T
    return 250 / (1 + 0.3 * z + 0.2 * x * y)


def unit(count, seed):
    values = np.random.default_rng(seed).normal(size=(count, 3))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_directions_of_the_published_grid():
    directions = map_directions(5)
    assert directions.shape == (2 + 35 * 72, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    assert len(np.unique(np.round(directions, 9), axis=0)) == len(directions)
    with pytest.raises(InputError, match="step_deg: found 7"):
        map_directions(7)


@pytest.mark.parametrize("step", [5, 15])
def test_map_is_exact_at_its_directions_and_close_between(step):
    directions = map_directions(step)
    found = DirectionMap.from_thresholds(law(directions), step)
    np.testing.assert_allclose(found(3 * directions), law(directions), rtol=1e-12)
    between = unit(2000, 1)
    # Error of linear interpolation is about step^2/8 of the second derivative.
    np.testing.assert_allclose(found(between), law(between), rtol=1.5 * np.radians(step) ** 2 / 8)


def test_map_refuses_missing_thresholds():
    values = law(map_directions(15))
    values[3] = np.nan
    with pytest.raises(InputError, match="1 of them no positive number"):
        DirectionMap.from_thresholds(values, 15)
    with pytest.raises(InputError, match="found 3 thresholds"):
        DirectionMap.from_thresholds(values[:3], 15)


def test_harmonics_span_sixteen_dimensions():
    assert np.linalg.matrix_rank(direction_harmonics(unit(200, 2))) == 16


def test_gradient_corrects_the_map():
    coefficients = random_fields(1500, np.random.default_rng(3))
    truth = law(coefficients[:, :3]) * np.exp(0.5 * coefficients[:, 3] * coefficients[:, 0] - 0.4 * coefficients[:, 10])
    uniform = DirectionMap.from_thresholds(law(map_directions(5)))
    model = UniformPlusGradient(uniform).fit(coefficients[:1000], truth[:1000])
    held = slice(1000, None)
    plain = np.abs(uniform(coefficients[held, :3]) / truth[held] - 1).mean()
    corrected = np.abs(model.predict(coefficients[held]) / truth[held] - 1).mean()
    assert corrected < 0.005 < 0.03 < plain


def test_ridge_on_the_coefficients():
    coefficients = random_fields(1500, np.random.default_rng(4))
    truth = law(coefficients[:, :3]) * np.exp(0.3 * coefficients[:, 10])
    model = BasisRidge().fit(coefficients[:1000], truth[:1000])
    assert np.abs(model.predict(coefficients[1000:]) / truth[1000:] - 1).mean() < 0.03
