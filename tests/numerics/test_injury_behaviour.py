"""The published-behaviour table: what the calibrated model meets, and what it is known not to meet."""

import numpy as np
import pytest

from understudy.axon.config import Injury
from understudy.axon.injury_behaviour import behaviour_table, first_reached, rate_dependence

TABLE = behaviour_table(Injury())

# Known shortfalls of the calibrated model, reported as not passed (see the sources of the lines).
NOT_MET = (
    "Microtubules' share of the bundle's elastic energy",
    "Longer microtubules are strained more",
    "Female less male at equal strain 0.055: node strain",
    "Stretch at 50 % failed tau, 10 /s",
    "Largest force of a tau link that holds",
)


@pytest.mark.parametrize("line", TABLE, ids=lambda line: line["name"])
def test_published_behaviour(line):
    """A change that loses a claim, or meets one that was missed, must be seen: calibration and its text go together."""
    assert line["passed"] != line["name"].startswith(NOT_MET), line


def test_headline_criterion_agrees_best():
    bell = behaviour_table(Injury(tau_criterion="bell"))
    assert sum(line["passed"] for line in TABLE) > sum(line["passed"] for line in bell)


def test_rate_dependence_is_reported_for_both_criteria():
    lines = {line["name"]: line["value"] for line in rate_dependence(Injury(), peaks=(0.05,))}
    assert len(lines) == 8
    tau = {c: lines[f"d(failed tau)/d(rate) in s, 1-60 /s, peak 0.05, {c} criterion"] for c in ("elongation", "bell")}
    # Slow loading breaks more tau by elongation, fast loading more by the Bell criterion.
    assert tau["elongation"] < 0 < tau["bell"]


def test_first_reached():
    assert first_reached(np.array([0.1, 0.2, 0.3]), np.array([0.0, 1.0, 2.0]), 1.0) == 0.2
    assert first_reached(np.array([0.1, 0.2]), np.array([0.0, 0.5]), 1.0) == np.inf
