"""Building blocks of the configuration: sections with units, ranges and sources, and errors by key name.

A section is a frozen pydantic model. Its defaults are the published scale; ``config/config.yaml`` is generated from
them (``understudy configuration``), so a number from the literature stands once, here with its source. Sections hold
values and checks only, never arithmetic that a result depends on: the code fingerprints leave them out, because every
value reaches a program through its stage file, which is a tracked input.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from understudy.errors import InputError

_QUANTITY = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\s\d].*?)\s*$")


def quantity(default: Any, unit: str, description: str, source: str, **limits: Any) -> Any:
    """A configuration key with its unit and the source of its default.

    Parameters
    ----------
    default : value used at the published scale.
    unit : unit of the value as written in the reference table; ``"1"`` for a pure number, ``"-"`` for no number.
    description : one line for the reference table.
    source : where the default comes from: a citation, ``"estimate"`` or ``"choice"``.
    limits : pydantic limits such as ``gt``, ``ge``, ``lt``, ``le``, ``min_length``.
    """
    return Field(default=default, description=description, json_schema_extra={"unit": unit, "source": source}, **limits)


class Section(BaseModel):
    """A part of the configuration; unknown keys and other units than the key's own are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _check_units(cls, values: Any) -> Any:
        """Accept ``4`` and ``"4 mm"`` for a key in mm; refuse ``"4 m"``."""
        if not isinstance(values, dict):
            return values
        checked = dict(values)
        for name, value in values.items():
            field = cls.model_fields.get(name)
            if field is not None and isinstance(value, bool) and not _takes_truth(field.annotation):
                raise ValueError(f"{name}: found {str(value).lower()}; accepted is no truth value")
            if field is None or not isinstance(value, str):
                continue
            extra = field.json_schema_extra
            unit = extra.get("unit", "-") if isinstance(extra, dict) else "-"
            match = _QUANTITY.match(value)
            if unit == "-" or match is None:
                continue
            if match.group(2) != unit:
                raise ValueError(f"{name}: found the unit {match.group(2)!r} in {value!r}, accepted is {unit!r}")
            checked[name] = float(match.group(1))
        return checked


def _takes_truth(annotation: Any) -> bool:
    """Whether a key may be true or false; pydantic would take these for 1 and 0."""
    return annotation in (bool, Any) or any(_takes_truth(option) for option in typing.get_args(annotation))


def section_class(annotation: Any) -> type[Section] | None:
    """The section inside a field's annotation (plain or optional), or None."""
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    for option in options:
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None


def _fields_at(model: type[Section], location: tuple) -> dict[str, Any]:
    """The keys that are known in the section holding the last part of ``location``."""
    current: type[Section] | None = model
    for part in location[:-1]:
        field = current.model_fields.get(part) if current is not None else None
        current = section_class(field.annotation) if field is not None else None
    return dict(current.model_fields) if current is not None else {}


def validated(model: type[Section], values: Any, origin: str) -> Any:
    """``model`` built from ``values``; every problem in one `InputError` that names the keys.

    Raises
    ------
    InputError
        With one line per problem: the dotted key, what was found and what is accepted.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            location = problem["loc"]
            key = ".".join(str(part) for part in location) or "(top level)"
            found = problem.get("input")
            if problem["type"] == "extra_forbidden":
                known = _fields_at(model, location)
                close = difflib.get_close_matches(str(location[-1]), known, n=2, cutoff=0.5)
                hint = f"; did you mean {' or '.join(close)}?" if close else f"; accepted keys: {', '.join(known)}"
                lines.append(f"{key}: unknown key{hint}")
            elif problem["type"] == "model_type":
                lines.append(f"{key}: found {'nothing' if found is None else repr(found)}; accepted are keys below it")
            elif isinstance(found, dict):
                lines.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}")
            else:
                lines.append(f"{key}: found {found!r}; {problem['msg'].removeprefix('Value error, ')}")
        raise InputError(f"{origin}: {len(lines)} problem(s) in the configuration\n  " + "\n  ".join(lines)) from None
