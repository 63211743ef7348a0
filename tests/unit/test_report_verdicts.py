"""Numbers and verdicts as the report words them."""

from __future__ import annotations

import pytest

from understudy.report import numbers, verdicts


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


def test_speed_up() -> None:
    assert verdicts.speed_up({"n": 100, "seconds": 2.0, "seconds_per_case_direct": 0.5}) == pytest.approx(25.0)
    assert verdicts.speed_up({"n": 100, "seconds": 2.0, "seconds_per_case_direct": None}) is None


def test_few_times_keep_their_decimals() -> None:
    assert [verdicts.many(ratio) for ratio in (0.783, 1.04, 9.96, 12.4, 23456.0)] == [
        "0.78", "1", "10", "12", "23\u202f000",
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
