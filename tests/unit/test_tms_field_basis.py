"""Polynomial fields: no divergence, the right number of them, exact recovery, shares of variance."""

import numpy as np
import pytest

from understudy.tms.field_basis import (
    basis,
    count_terms,
    fit,
    fit_normalised,
    potential_of,
    random_fields,
    shares_beyond,
)

CUBE = np.stack(np.meshgrid(*[np.linspace(-0.75, 0.75, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_terms_are_independent_and_have_no_divergence(order):
    values = basis(CUBE, order)
    assert values.shape == (125, 3, count_terms(order))
    assert np.linalg.matrix_rank(values.reshape(-1, values.shape[2])) == count_terms(order)
    # Central differences are exact for second order.
    h = 0.1
    divergence = sum(
        (basis(CUBE + h * e, order) - basis(CUBE - h * e, order))[:, axis] / (2 * h) for axis, e in enumerate(np.eye(3))
    )
    np.testing.assert_allclose(divergence, 0, atol=1e-12)


def test_counts_are_those_of_all_polynomials_less_the_divergence():
    # 3 components times monomials, less the monomials of the divergence, one degree lower.
    assert [count_terms(order) for order in range(3)] == [3, 3 + 9 - 1, 3 + 8 + 18 - 3]


def test_a_field_of_the_basis_is_found_again():
    coefficients = random_fields(20, np.random.default_rng(1))
    field = np.einsum("pit,nt->npi", basis(CUBE), coefficients)
    np.testing.assert_allclose(fit(CUBE, field), coefficients, atol=1e-12)
    centre = coefficients[:, :3]
    np.testing.assert_allclose(fit_normalised(CUBE, 70 * field, 70 * centre), coefficients, atol=1e-12)
    shares = shares_beyond(CUBE, field)
    np.testing.assert_allclose(shares.second_order, 0, atol=1e-20)
    assert (shares.uniform > shares.linear).all() and (shares.linear > 0).all()


def test_random_fields_change_as_much_as_asked():
    drawn = random_fields(200, np.random.default_rng(2), gradient_per_mm=(0.2, 0.2), second_per_mm2=(0, 0))
    np.testing.assert_allclose(np.linalg.norm(drawn[:, :3], axis=1), 1)
    assert not drawn[:, 11:].any()
    points = np.random.default_rng(3).normal(size=(4000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    change = np.einsum("pit,nt->npi", basis(points, 1)[:, :, 3:], drawn[:, 3:11])
    rms = np.sqrt((change**2).sum(axis=2).mean(axis=1))
    # 2,000 and 4,000 random points on the sphere: within a few per cent.
    np.testing.assert_allclose(rms, 0.2, rtol=0.05)


def test_shares_of_a_jump_stay_beyond_any_order():
    field = np.where(CUBE[:, 2:] > 0.1, 1.0, 2.0) * np.array([0, 0, 1.0])
    shares = shares_beyond(CUBE, field[None])
    assert shares.second_order[0] > 0.005
    assert shares.uniform[0] > shares.linear[0] > shares.second_order[0]


def test_potential_is_minus_the_line_integral():
    points = np.array([[0, 0, 0], [0, 0, 500.0], [0, 300.0, 500.0], [400.0, 0, 0]])
    parent = np.array([-1, 0, 1, 0])
    uniform = np.zeros((1, 26))
    uniform[0, 2] = 1
    np.testing.assert_allclose(potential_of(points, parent, uniform), [[0, -0.5, -0.5, 0]], atol=1e-15)
    # E_z = z^2 - y z ... integrated by hand along z: z^3/3.
    term = np.zeros((1, 26))
    term[0, 25] = 1
    assert basis(np.array([[0, 0, 0.5]]))[0, :, 25].tolist() == [0, 0, 0.25]
    np.testing.assert_allclose(potential_of(points, parent, term)[0, 1], -(0.5**3) / 3, rtol=1e-12)
