"""The form of one verification: a value against its expectation, as tests assert it and the report prints it."""

from __future__ import annotations

import math


def check(
    name: str, value: float, expected: float | str, tolerance: float | str, passed: bool | None = None, source: str = ""
) -> dict:
    """One line of the verification table.

    Parameters
    ----------
    name : what is verified, readable by itself.
    value : measured.
    expected : analytic limit, peer's value, or words where the expectation is an order or a range.
    tolerance : absolute tolerance on ``|value - expected|``, or words.
    passed : the verdict; derived from the tolerance when it is None and both are numbers.
    source : where the expectation comes from.
    """
    if passed is None:
        if isinstance(expected, str) or isinstance(tolerance, str):
            raise TypeError(f"{name}: a verdict is needed where expectation or tolerance are words")
        passed = math.isfinite(value) and abs(value - expected) <= tolerance
    return {
        "name": name,
        "value": float(value),
        "expected": expected,
        "tolerance": tolerance,
        "passed": bool(passed),
        "source": source,
    }
