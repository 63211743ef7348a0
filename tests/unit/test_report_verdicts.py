"""Numbers and verdicts as the report words them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_run import TARGETS, write_run

from understudy.report import numbers, verdicts
from understudy.report.goals import MISSED, Goal, Measured, goals_in_short, goals_table
from understudy.report.results import read_study


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"difference_nrmse": -0.02, "low": -0.03, "high": -0.01}, verdicts.BETTER),
        ({"difference_nrmse": -0.02, "low": -0.03, "high": 0.0}, verdicts.EQUAL),
        ({"difference_nrmse": 0.0, "low": -0.01, "high": 0.01}, verdicts.EQUAL),
        ({"difference_nrmse": 0.02, "low": 0.001, "high": 0.03}, verdicts.WORSE),
        ({"difference_nrmse": 0.02, "low": None, "high": None}, verdicts.OPEN),
    ],
)
def test_verdict_follows_the_interval(entry: dict, kind: str) -> None:
    assert verdicts.compare("peak_strain", entry).kind == kind


def test_verdict_in_words() -> None:
    better = verdicts.compare("x", {"difference_nrmse": -0.0123, "low": -0.02, "high": -0.01})
    assert better.sentence == "the network is better by 1.23 % of the range"
    equal = verdicts.compare("x", {"difference_nrmse": -0.0123, "low": -0.02, "high": 0.01})
    assert equal.sentence == "no difference shown: the network adds nothing here"


@pytest.mark.parametrize(
    ("own", "floor", "within"),
    [
        ({"r2": 0.224, "nrmse": 0.105}, {"r2": 0.680, "nrmse": 0.184}, False),
        ({"r2": 0.996, "nrmse": 0.014}, {"r2": 0.986, "nrmse": 0.013}, False),
        ({"r2": 0.996, "nrmse": 0.013}, {"r2": 0.986, "nrmse": 0.014}, True),
    ],
)
def test_noise_floor_is_reached_by_both_measures_only(tmp_path: Path, own: dict, floor: dict, within: bool) -> None:
    """The first pair was measured: a range of few profiles made the floor's NRMSE the larger one."""
    write_run(tmp_path)
    results = read_study(tmp_path, "axon")
    target = TARGETS[8]
    floors = {name: {"r2": 1.0, "nrmse": 0.0} for name in TARGETS}
    metrics = {**results.metrics, "targets": {**results.metrics["targets"]}, "noise_floor": floors}
    metrics["targets"][target] = {**metrics["targets"][target], **own}
    floors[target] = floor
    text = " ".join(verdicts.in_short(replace(results, metrics=metrics)))
    assert ("A better score there would fit noise" in text) == within
    assert ("there is room left above the noise floor" in text) != within


def test_speed_up() -> None:
    assert verdicts.speed_up({"n": 100, "seconds": 2.0, "seconds_per_case_direct": 0.5}) == pytest.approx(25.0)
    assert verdicts.speed_up({"n": 100, "seconds": 2.0, "seconds_per_case_direct": None}) is None


def test_few_times_keep_their_decimals() -> None:
    assert [numbers.many(ratio) for ratio in (0.783, 1.04, 9.996, 12.4, 23456.0)] == [
        "0.783", "1.04", "10", "12.4", "23\u202f500",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (numbers.score(0.98765), "0.988"),
        (numbers.score(0.99996), "1.0000"),
        (numbers.score(0.9997), "0.9997"),
        (numbers.score(None), "—"),
        (numbers.percent(0.0274), "2.7 %"),
        (numbers.percent(-0.00001, 2), "0.00 %"),
        (numbers.percent(float("nan")), "—"),
        (numbers.span([0.027, 0.05], numbers.percent), "2.7–5.0 %"),
        (numbers.span(0.9, numbers.score), "0.900"),
        (numbers.count(92439), "92\u202f439"),
        (numbers.quantity(3.1e-12), "3.1·10⁻¹²"),
        (numbers.quantity(True), "—"),
        (numbers.quantity("in 1.5-3"), "in 1.5-3"),
        (numbers.duration(0.00013), "130 µs"),
        (numbers.duration(59), "59 s"),
        (numbers.duration(4 * 3600), "4 h"),
        (numbers.duration(3.78e8), "12 years"),
        (numbers.memory(1530), "1.53 GB"),
    ],
)
def test_numbers_as_people_read_them(shown: str, text: str) -> None:
    assert shown == text


@pytest.mark.parametrize(
    ("text", "value", "limits", "shown"),
    [
        ("5.0 %", 0.0502, (0.05, 0.02), "5.02 %"),
        ("5.0 %", 0.05, (0.05, 0.02), "5.0 %"),
        ("4.7 %", 0.0471, (0.05, 0.02), "4.7 %"),
        ("7.0 %", 0.07, (0.07, None), "7.0 %"),
        ("0.00 %", 0.0000432, (0,), "0.004 %"),
        ("0.00 %", -0.0000432, (0,), "−0.004 %"),
        ("0.990", 0.98996, (0.97, 0.99), "0.98996"),
        ("100×", 99.7, (100.0, 1000.0), "99.7×"),
        ("5\u202f000×", 4996.0, (5000.0, 50_000.0), "4\u202f996×"),
        ("25\u202f500×", 25_523.0, (5000.0, 50_000.0), "25\u202f500×"),
        ("5,000×", 4999.8, (5000.0, 50_000.0), "4,999.8×"),
        ("0.0020 µm", 0.00203, (0.002, 0.001), "0.00203 µm"),
        ("not up to 300", None, (300.0,), "not up to 300"),
        ("3 violations", 3, (0.0,), "3 violations"),
        ("1.5 h", 5400.0, (5400.0,), "1.5 h"),
        ("1.0·10⁻¹³", 1.02e-13, (1e-12, 1e-13), "1.0·10⁻¹³"),
    ],
)
def test_rounded_value_does_not_contradict_its_verdict(text: str, value: float, limits: tuple, shown: str) -> None:
    assert numbers.apart(text, value, *limits) == shown


def test_two_values_that_are_compared_are_told_apart() -> None:
    """Each gets the decimals that order them as their verdict does; clear ones stay short."""
    own, other = 0.000596, 0.000561
    shown = [numbers.beside("0.06 %", value, rival) for value, rival in ((own, other), (other, own))]
    assert shown == ["0.06 %", "0.056 %"]
    assert numbers.beside("8.56 %", 0.0856, 0.06) == "8.56 %"
    assert numbers.beside("0.06 %", own, own, None) == "0.06 %"


def test_goals_table_and_sentence_tell_a_miss_from_its_limit() -> None:
    missed = Measured("", 0.0502, "5.0 %", MISSED, "3 targets", 0.05, 0.02)
    goal = Goal("Inverse design", "inverse design", "Designs", "none", "5 %", "2 %", (missed,))
    assert goals_table([goal], ["Value"])["rows"][1][4]["text"] == "5.02 %"
    assert "inverse design (5.02 %)" in " ".join(goals_in_short([goal], {}))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rest for 1 s: largest drift in uM", "rest for 1 s: largest drift in µM"),
        ("front at 0.25 um, step 12.5 us: speed", "front at 0.25 µm, step 12.5 µs: speed"),
        ("radius 0.1 um, 3 receptors per um2", "radius 0.1 µm, 3 receptors per µm²"),
        ("no local value known to us", "no local value known to us"),
        ("nodal force over G0 h^2", "nodal force over G₀ h²"),
        ("brackets are 1e-05 wide", "brackets are 10⁻⁵ wide"),
        ("at (1.0, 2.5, 60.0) /s: [0.0426, 0.0, 0.04]", "at 1, 2.5, 60 /s: 0.0426, 0, 0.04"),
        ("2.33 (1.5 to 3), Bell (1978, 1984)", "2.33 (1.5 to 3), Bell (1978, 1984)"),
        (0.25, 0.25),
    ],
)
def test_words_of_checks_are_printed_with_signs(text: str, shown: str) -> None:
    assert numbers.typeset(text) == shown
