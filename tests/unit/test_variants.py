"""Variants of the axon: what is swapped, and which samples they are run on."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.axon.config import Comparison, Injury
from understudy.axon.variants import VARIANTS, variant_injury, variant_rows

COMPARISON = Comparison(training_profiles=40, calibration_profiles=25, heldout_profiles=30)


@pytest.fixture
def samples() -> tuple[np.ndarray, np.ndarray]:
    """Split and subset of samples in the order of a samples file."""
    counts = (
        ("training", "sampled", 100),
        ("calibration", "random", 60),
        ("heldout", "random", 90),
        ("heldout", "worst_case", 11),
    )
    split = np.concatenate([np.full(count, name) for name, _, count in counts])
    subset = np.concatenate([np.full(count, name) for _, name, count in counts])
    return split, subset


def test_rows_are_an_ascending_part_of_the_samples_by_split(samples):
    split, subset = samples
    rows = variant_rows(split, subset, COMPARISON)
    assert (np.diff(rows) > 0).all()
    assert rows[0] >= 0 and rows[-1] < len(split)
    counts = {
        (name, kind): int(np.sum((split[rows] == name) & (subset[rows] == kind)))
        for name, kind in set(zip(split.tolist(), subset.tolist(), strict=True))
    }
    assert counts == {
        ("training", "sampled"): 40,
        ("calibration", "random"): 25,
        ("heldout", "random"): 30,
        ("heldout", "worst_case"): 11,
    }


def test_rows_spread_evenly_over_each_split(samples):
    split, subset = samples
    rows = variant_rows(split, subset, COMPARISON)
    training = rows[split[rows] == "training"]
    # First and last are in, and steps differ by rounding alone: 99 rows in 39 steps.
    assert (training[0], training[-1]) == (0, 99)
    assert set(np.diff(training).tolist()) == {2, 3}


def test_all_rows_where_fewer_are_there_than_asked_for(samples):
    split, subset = samples
    rows = variant_rows(split, subset, Comparison(training_profiles=1000))
    assert rows.tolist() == list(range(len(split)))


def test_rows_depend_on_neither_sex_nor_criterion(samples):
    # Both variants are run on the same samples, so that they pair with the study's own ground truth.
    first, second = (variant_rows(*samples, COMPARISON) for _ in VARIANTS)
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("sex", "other"), [("male", "female"), ("female", "male")])
def test_the_other_sex(sex, other):
    injury = Injury(sex=sex, layouts=5)
    found = variant_injury(injury, "other_sex")
    assert found.sex == other
    assert found.model_copy(update={"sex": sex}) == injury


@pytest.mark.parametrize(("criterion", "other"), [("elongation", "bell"), ("bell", "elongation")])
def test_the_other_criterion(criterion, other):
    injury = Injury(tau_criterion=criterion)
    found = variant_injury(injury, "other_criterion")
    assert found.tau_criterion == other
    assert found.model_copy(update={"tau_criterion": criterion}) == injury
    assert variant_injury(found, "other_criterion") == injury
