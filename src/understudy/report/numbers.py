"""Numbers as people read them."""

from __future__ import annotations

import math
import re
from numbers import Real
from typing import Any

MISSING = "—"


def is_number(value: Any) -> bool:
    """Whether it is a finite number (and no truth value)."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def score(value: Any) -> str:
    """An R2 or a correlation: three decimals, four where three would round to one."""
    if not is_number(value):
        return MISSING
    text = f"{value:.3f}"
    return f"{value:.4f}" if text == "1.000" and value < 1 else text.replace("-", "−")


def percent(value: Any, digits: int = 1) -> str:
    """A fraction in per cent."""
    if not is_number(value):
        return MISSING
    # Adding zero turns a rounded minus zero into zero.
    return f"{round(100 * value, digits) + 0.0:.{digits}f} %".replace("-", "−")


_PLAIN = re.compile(r"[-−]?\d[\d,\u202f]*(?:\.(\d+))?(?!·)")
_MOST_DECIMALS = 12
# Of a number to three digits.
_ROUNDED = 5e-3


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)


def apart(text: str, value: Any, *limits: float | None) -> str:
    """The text of a value, with as many more decimals as show on which side of each limit the value lies.

    A value that rounds to its limit would else contradict the verdict beside it: 5.02 % of 5 %, missed, is not 5.0 %.

    Parameters
    ----------
    text : holds the value rounded, in per cent where that sign follows it; another text stays as it is.
    value, limits : exact, fractions where the text is in per cent.
    """
    found = _PLAIN.match(text)
    known = [limit for limit in limits if is_number(limit)]
    if not is_number(value) or found is None:
        return text
    factor = 100.0 if text[found.end() :].lstrip().startswith("%") else 1.0
    decimals, rounded = len(found[1] or ""), _read(found[0])
    if abs(rounded - factor * value) > max(0.5 * 10.0**-decimals, _ROUNDED * abs(factor * value)) * (1 + 1e-9):
        return text

    def sides(number: float) -> bool:
        # Limits are rounded too: 100 x 0.07 is not 7.
        return all(_side(number, round(factor * limit, 9)) == _side(value, limit) for limit in known)

    digits = decimals
    while not sides(rounded) and digits < _MOST_DECIMALS:
        shown = f"{factor * value:,.{digits}f}".replace(",", "," if "," in found[0] else "\u202f").replace("-", "−")
        text, rounded, digits = shown + text[found.end() :], _read(shown), digits + 1
        found = _PLAIN.match(text)
    return text


def beside(text: str, value: Any, *others: Any) -> str:
    """The text of a value with as many more decimals as tell it from others that stand beside it, likewise written."""
    if not is_number(value):
        return text
    return apart(text, value, *((value + other) / 2 for other in others if is_number(other) and other != value))


def _read(shown: str) -> float:
    return float(shown.replace(",", "").replace("\u202f", "").replace("−", "-"))


def span(value: Any, show: Any) -> str:
    """One number, or the two ends of a range, each written by ``show``."""
    if value is None:
        return MISSING
    if isinstance(value, list | tuple):
        low, high = show(value[0]), show(value[1])
        return low if low == high else f"{low.removesuffix(' %')}–{high}"
    return show(value)


def ends(value: Any) -> tuple[float, float] | None:
    """A number or a range as a range."""
    if value is None:
        return None
    low, high = value if isinstance(value, list | tuple) else (value, value)
    return float(low), float(high)


def count(value: Any) -> str:
    """A whole number with thin separators."""
    return f"{round(value):,}".replace(",", "\u202f") if is_number(value) else MISSING


def quantity(value: Any) -> str:
    """Any number to three or four digits; words stay words."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return " to ".join(quantity(item) for item in value)
    if value is None or not is_number(value):
        return MISSING
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return (f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}").replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    power = str(int(exponent)).translate(_SUPERSCRIPTS)
    return f"{mantissa.replace('-', '−')}·10{power}"


def many(ratio: float) -> str:
    """How many times, to three digits."""
    rounded = float(f"{ratio:.3g}")
    return count(rounded) if rounded >= 100 else quantity(rounded)


_LIST = re.compile(r"\[([-\d., e]+)\]|\(((?:-?\d+\.\d+, )+-?\d+\.\d+)\)")
# "us" is a word too: after a number alone is it a unit.
_UNITS = ((r"\bum2\b", "µm²"), (r"\bum\b", "µm"), (r"\buM\b", "µM"), (r"(?<=\d )us\b", "µs"), (r"\bG0\b", "G₀"))
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def typeset(text: Any) -> Any:
    """A check's words as printed: micro and powers as signs, lists of numbers without brackets; else as it is.

    Programs name their checks in plain letters, which logs and consoles can show.
    """
    if not isinstance(text, str):
        return text
    text = _LIST.sub(lambda m: ", ".join(f"{float(number):g}" for number in (m[1] or m[2]).split(",")), text)
    for pattern, sign in _UNITS:
        text = re.sub(pattern, sign, text)
    text = re.sub(r"\b1e-0?(\d+)\b", lambda m: "10⁻" + m[1].translate(_SUPERSCRIPTS), text)
    return re.sub(r"\^(\d)", lambda m: m[1].translate(_SUPERSCRIPTS), text)


_STEPS = (
    (365.25 * 86400.0, "years"),
    (86400.0, "days"),
    (3600.0, "h"),
    (60.0, "min"),
    (1.0, "s"),
    (1e-3, "ms"),
    (1e-6, "µs"),
)


def duration(seconds: Any) -> str:
    """A time span in the unit that suits it."""
    if not is_number(seconds):
        return MISSING
    for size, unit in _STEPS:
        if seconds >= size * (1.5 if unit in ("years", "days", "h", "min") else 1.0):
            return f"{seconds / size:.3g} {unit}"
    return "0 s" if seconds <= 0 else f"{seconds / 1e-6:.2g} µs"


def cores(number: Any) -> str:
    """So many processor cores, in words."""
    return f"{count(number)} core{'' if number == 1 else 's'}"


def hours(value: Any) -> str:
    """Core hours: two digits at least."""
    if not is_number(value):
        return MISSING
    if value < 0.1:
        return f"{value:.2g}" if value >= 1e-4 else "0"
    return f"{value:.2f}" if value < 10 else (f"{value:.1f}" if value < 100 else count(value))


def memory(megabytes: Any) -> str:
    """Memory in MB or GB."""
    if not is_number(megabytes):
        return MISSING
    return f"{megabytes / 1000:.2f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"
