"""A study's own sections of the page: paragraphs, a table and figures, each placed in one of the page's named slots.

The page knows nothing of what they say. ``presentation.json`` may hold::

    "sections": [{"id", "slot", "title", "text": [paragraph], "table": {...} or null, "figures": [figure]}]
    "lead":     a figure that the page shows first

A figure is ``{"file", "title", "caption", "alt"}``. A table is ``{"columns", "rows", "caption"}``: a column is a
heading, or ``{"title", "numeric"}``; a row is a list of cells, or ``{"part": heading}`` above the rows that follow. A
cell is text, or ``{"text", "note", "mark", "span"}``: a quiet second line, one of `MARKS`, and the number of columns
that it takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from understudy.errors import InputError
from understudy.report.numbers import MISSING, quantity

SLOTS = ("headline", "accuracy", "worth", "intervals", "data", "use", "physics", "limits")
"""Where a section can stand: ``headline`` before all others, the rest behind the page's own sections of these names."""

MARKS = ("better", "equal", "worse", "open", "note")
"""Kinds of chips: reached, partly reached, missed, not measured, and without judgement."""

_ID = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Cell:
    """One cell of a table; ``span`` is the number of columns that it takes."""

    text: str
    note: str = ""
    mark: str = ""
    span: int = 1


@dataclass(frozen=True)
class Column:
    """Heading of a column; numeric ones are set flush right."""

    title: str
    numeric: bool


@dataclass(frozen=True)
class Row:
    """Cells, or the heading of the part of the table that follows."""

    cells: tuple[Cell, ...] = ()
    part: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str


@dataclass(frozen=True)
class Section:
    """One section; ``figures`` are entries as the presentation holds them."""

    id: str
    slot: str
    title: str
    text: tuple[str, ...]
    table: Table | None
    figures: tuple[Mapping[str, Any], ...]


def _cell(value: Any, where: str) -> Cell:
    if not isinstance(value, Mapping):
        return Cell(MISSING if value is None else quantity(value))
    mark = value.get("mark") or ""
    if mark and mark not in MARKS:
        raise InputError(f"{where}: found mark {mark!r}; accepted are {', '.join(MARKS)}")
    text = value.get("text")
    return Cell(
        MISSING if text is None else quantity(text), str(value.get("note") or ""), mark, int(value.get("span", 1))
    )


def read_table(table: Mapping[str, Any] | None, where: str) -> Table | None:
    """A table of the presentation.

    Raises
    ------
    InputError
        If a row does not fill the columns or a mark is unknown; ``where`` names the table.
    """
    if table is None:
        return None
    columns = tuple(
        Column(str(column["title"]), bool(column.get("numeric")))
        if isinstance(column, Mapping)
        else Column(str(column), False)
        for column in table["columns"]
    )
    rows = []
    for number, row in enumerate(table["rows"], start=1):
        if isinstance(row, Mapping):
            rows.append(Row(part=str(row["part"])))
            continue
        cells = tuple(_cell(value, f"{where}, row {number}") for value in row)
        width = sum(cell.span for cell in cells)
        if width != len(columns):
            raise InputError(f"{where}, row {number}: found {width} columns; accepted are {len(columns)}")
        rows.append(Row(cells=cells))
    return Table(columns, tuple(rows), str(table.get("caption") or ""))


def read_sections(presentation: Mapping[str, Any], where: str) -> dict[str, list[Section]]:
    """The study's sections by slot, in their order; every slot is there.

    Raises
    ------
    InputError
        If a section has no place, its id is none or taken, or its table is not one; ``where`` names the file.
    """
    found: dict[str, list[Section]] = {slot: [] for slot in SLOTS}
    taken: set[str] = set()
    entries: Sequence[Mapping[str, Any]] = presentation.get("sections") or []
    for entry in entries:
        name, slot = str(entry.get("id")), entry.get("slot")
        if slot not in SLOTS:
            raise InputError(f"{where}: section {name!r}: found slot {slot!r}; accepted are {', '.join(SLOTS)}")
        if not _ID.fullmatch(name) or name in taken:
            raise InputError(
                f"{where}: found section id {name!r}; accepted are lower-case letters, digits and hyphens, each id once"
            )
        taken.add(name)
        found[slot].append(
            Section(
                id=name,
                slot=slot,
                title=str(entry["title"]),
                text=tuple(entry.get("text") or ()),
                table=read_table(entry.get("table"), f"{where}: section {name!r}"),
                figures=tuple(entry.get("figures") or ()),
            )
        )
    return found
