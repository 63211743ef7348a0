"""Pieces that a study's own sections of the page are written from: headings, ranges and lists in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from understudy.report.numbers import MISSING, count, is_number, percent


def numeric_columns(*titles: str) -> list[dict[str, Any]]:
    return [{"title": title, "numeric": True} for title in titles]


def value_range(values: Sequence[Any], show: Callable[[Any], str]) -> str:
    """The smallest and the largest of the known values."""
    known = [value for value in values if is_number(value)]
    if not known:
        return MISSING
    low, high = show(min(known)), show(max(known))
    return low if low == high else f"{low} to {high}"


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence."""
    if not words:
        return "nothing"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def counted(number: Any, word: str) -> str:
    """A number of things: one seed, three seeds."""
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def inside(content: Any, *keys: str) -> Any:
    """A value inside nested mappings; None where the way ends."""
    for key in keys:
        if not isinstance(content, Mapping):
            return None
        content = content.get(key)
    return content


def signed_percent(value: Any, digits: int = 1) -> str:
    """A relative change in per cent, with its sign."""
    if not is_number(value):
        return MISSING
    text = percent(value, digits)
    return f"+{text}" if value > 0 and not text.startswith("0.0 ") else text


def section(
    name: str,
    slot: str,
    title: str,
    text: Sequence[str],
    table: Mapping[str, Any] | None = None,
    figures: Sequence[Mapping[str, Any] | None] = (),
) -> dict[str, Any]:
    shown = [dict(figure) for figure in figures if figure is not None]
    return {"id": name, "slot": slot, "title": title, "text": list(text), "table": table, "figures": shown}


def absent(file: str) -> str:
    return f"Not measured in this run: it has no {file}."


class Figures:
    """The figures that were drawn; one that was not is left out of the page."""

    def __init__(self, drawn: Sequence[str]):
        self._drawn = frozenset(drawn)

    def __call__(self, name: str, title: str, caption: str) -> dict[str, Any] | None:
        """The entry of a figure, or None where it was not drawn."""
        if name not in self._drawn:
            return None
        return {"file": f"{name}.png", "title": title, "caption": caption}
