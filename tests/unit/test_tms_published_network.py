"""The published network: its inputs, that it learns, and that equal streams give equal weights."""

from dataclasses import replace

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.tms.field_basis import basis, random_fields
from understudy.tms.field_cube import cube_inputs, cube_points
from understudy.tms.published_network import PublishedSettings, fit_published

SMALL = PublishedSettings(convolutions=(8, 6, 4, 4), dense=(12, 8), epochs=20, batch_size=32, learning_rate=5e-3)


def cubes(count, seed):
    coefficients = random_fields(count, np.random.default_rng(seed))
    field = 60 * np.einsum("pit,nt->npi", basis(1e-3 * cube_points("L5_TTPC")), coefficients)
    inputs, centre = cube_inputs(field)
    np.testing.assert_allclose(centre, 60, rtol=1e-12)
    return inputs, 250 / (1 + 0.4 * coefficients[:, 2] + 0.5 * coefficients[:, 10])


def test_cube_points():
    points = cube_points("L23_PC")
    assert points.shape == (729, 3)
    np.testing.assert_allclose(points.mean(axis=0), [0, 0, -486.8], atol=1e-9)
    np.testing.assert_allclose(np.ptp(points, axis=0), 2000)
    np.testing.assert_allclose(np.ptp(cube_points("L4_LBC"), axis=0), 1500)
    with pytest.raises(InputError, match="cell type: found 'L1'"):
        cube_points("L1")


def test_cube_inputs_keep_places_and_components():
    field = np.arange(2 * 729 * 3, dtype=float).reshape(2, 729, 3)
    inputs, centre = cube_inputs(field)
    assert inputs.shape == (2, 3, 9, 9, 9) and inputs.dtype == np.float32
    np.testing.assert_allclose(centre, np.linalg.norm(field[:, 364], axis=1))
    np.testing.assert_allclose(inputs[1, 2, 3, 4, 5], field[1, 3 * 81 + 4 * 9 + 5, 2] / centre[1], rtol=1e-6)
    field[1, 7, 0] = np.nan
    with pytest.raises(InputError, match="missing samples in case 1"):
        cube_inputs(field)


def test_it_learns_and_repeats_itself():
    inputs, threshold = cubes(320, 1)
    group = np.repeat(np.arange(32), 10)
    model = fit_published(inputs, threshold, np.random.default_rng(3), SMALL, group)
    brief = replace(SMALL, epochs=2)
    twins = [fit_published(inputs, threshold, np.random.default_rng(3), brief, group).weights for _ in range(2)]
    assert all(np.array_equal(twins[0][name], twins[1][name]) for name in twins[0])
    held, truth = cubes(100, 2)
    error = np.abs(model.predict(held) / truth - 1).mean()
    guess = np.abs(threshold.mean() / truth - 1).mean()
    assert error < 0.4 * guess
    # A case's prediction does not depend on its neighbours.
    np.testing.assert_allclose(model.predict(held[:3]), model.predict(held)[:3], rtol=1e-5)
    with pytest.raises(InputError, match="published network: found 5 cases"):
        fit_published(inputs[:5], threshold[:5], np.random.default_rng(3), SMALL)
