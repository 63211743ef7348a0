"""Prediction from files: profiles in CSV or HDF5, predictions out in either.

CSV in: one row per sample and one column per profile, for surrogates of one channel over time. The first column is
``time_<unit>``, such as ``time_ms``, in steps of the training data from 0 on; the other headers name the profiles and
may give the unit in brackets, ``left callosum [1]``.

HDF5 in: ``inputs`` (cases, channels, ...), or (cases, ...) for one channel, ``context`` (cases, C) where the surrogate
wants it, attributes ``input_step`` and ``input_step_unit``, optionally ``channel_units`` and a dataset ``names``. A
ground-truth file is one.

CSV out: one row per profile: its name, for each target ``<target> [unit]`` with ``<target>_lower90 [unit]`` and
``<target>_upper90 [unit]``, then ``novelty [1]`` and ``unlike_training`` (0 or 1). HDF5 out: ``names``, ``mean``,
``lower``, ``upper`` (cases, T), ``novelty`` and ``flagged`` (cases,), with ``target_names`` and ``target_units``.
"""

from __future__ import annotations

import csv
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from understudy.dataset import Field
from understudy.errors import InputError
from understudy.surrogate.definition import SurrogateDefinition
from understudy.surrogate.model_file import SurrogateModel, read_model
from understudy.surrogate.predict import Prediction, predict
from understudy.surrogate.result_file import create_result_file, fixed_text, plain

SCHEMA = "understudy.prediction_output"
SUFFIXES = (".csv", ".h5", ".hdf5")
_HEADER = re.compile(r"^\s*(.*?)\s*(?:\[([^\]]*)\])?\s*$")


@dataclass(frozen=True)
class Profiles:
    """Names (N), inputs (N, C, ...) float32 and context (N, Cx) or None."""

    names: list[str]
    inputs: np.ndarray
    context: np.ndarray | None


def predict_file(
    definition: SurrogateDefinition,
    model_path: Path,
    input_path: Path,
    output_path: Path,
    *,
    device: str = "auto",
    overwrite: bool = False,
) -> tuple[int, int]:
    """Predict for the profiles of ``input_path`` into ``output_path``, which appears whole or not at all.

    Returns
    -------
    Numbers of profiles and of those flagged as unlike the training data.

    Raises
    ------
    InputError
        If a file is missing, of an unknown kind or unusable, or the output exists and ``overwrite`` is False.
    """
    input_path, output_path = Path(input_path), Path(output_path)
    for path in (input_path, output_path):
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path}: found the ending {path.suffix!r}; accepted are {', '.join(SUFFIXES)}")
    if not input_path.is_file():
        raise InputError(f"{input_path}: no such file; accepted are profiles as .csv or .h5")
    if output_path.exists() and not overwrite:
        raise InputError(f"{output_path}: exists; accepted is a new name, or --overwrite")
    if not output_path.parent.is_dir():
        raise InputError(f"{output_path}: the folder {output_path.parent} does not exist; accepted is one that does")
    model = read_model(Path(model_path), definition)
    profiles = read_profiles(input_path, model)
    try:
        predicted = predict(model, profiles.inputs, profiles.context, definition=definition, device=device)
    except InputError as error:
        raise InputError(f"{input_path}: {error}") from None
    temporary = output_path.with_name(f".{output_path.stem}.{os.getpid()}{output_path.suffix}")
    try:
        write_predictions(temporary, model, profiles.names, predicted)
        os.replace(temporary, output_path)
    except OSError as error:
        raise InputError(f"{output_path}: cannot be written ({error}); accepted is a writable place") from None
    finally:
        temporary.unlink(missing_ok=True)
    return len(profiles.names), int(predicted.flagged.sum())


def read_profiles(path: Path, model: SurrogateModel) -> Profiles:
    """Profiles for a model from a CSV or HDF5 file; `InputError` says what does not fit."""
    return _read_csv(path, model) if path.suffix.lower() == ".csv" else _read_hdf5(path, model)


def _check_unit(where: str, found: str | None, wanted: Field) -> None:
    if found is not None and found.strip() != wanted.unit:
        raise InputError(f"{where}: found the unit {found!r}; accepted is {wanted.unit!r}, the unit of {wanted.name}")


def _check_length(where: str, samples: int, model: SurrogateModel) -> None:
    wanted = model.input_shape[-1]
    if samples != wanted:
        raise InputError(
            f"{where}: found {samples} samples; accepted are {wanted} at steps of {model.input_step:g} "
            f"{model.input_step_unit}, from 0 to {(wanted - 1) * model.input_step:g} {model.input_step_unit}"
        )


def _read_csv(path: Path, model: SurrogateModel) -> Profiles:
    if len(model.channels) != 1 or len(model.input_shape) != 2 or model.context_fields:
        raise InputError(f"{path}: CSV holds one channel over time without context; accepted for this model is .h5")
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = [row for row in csv.reader(handle) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: found no CSV text ({error})") from None
    time_name = f"time_{model.input_step_unit}"
    if not rows or rows[0][0].strip() != time_name or len(rows[0]) < 2:
        found = ", ".join(rows[0][:4]) if rows else "nothing"
        raise InputError(f"{path}: found the columns {found}; accepted are {time_name} and one column per profile")
    names = []
    for column, header in enumerate(rows[0][1:], start=2):
        name, unit = _HEADER.match(header).groups()
        _check_unit(f"{path}: column {column} ({header.strip()!r})", unit, model.channels[0])
        names.append(name or f"profile {column - 1}")
    doubled = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if doubled:
        raise InputError(f"{path}: found the profile {doubled[0]!r} more than once; accepted is each name once")
    values = np.empty((len(rows) - 1, len(rows[0])))
    for number, row in enumerate(rows[1:]):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{path}: row {number + 2}: found {len(row)} cells; accepted are {len(rows[0])}, as in the header"
            )
        for column, cell in enumerate(row):
            try:
                value = float(cell)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                where = f"{path}: row {number + 2}, column {column + 1} ({rows[0][column].strip()})"
                raise InputError(f"{where}: found {cell.strip()!r}; accepted is a finite number")
            values[number, column] = value
    _check_length(str(path), len(values), model)
    expected = np.arange(len(values)) * model.input_step
    wrong = np.flatnonzero(np.abs(values[:, 0] - expected) > 1e-6 * model.input_step + 1e-9 * np.abs(expected))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{path}: row {row + 2}, column 1 ({time_name}): found {values[row, 0]:g}; accepted is {expected[row]:g}, "
            f"steps of {model.input_step:g} {model.input_step_unit} from 0 on; resample the profiles"
        )
    return Profiles(names, values[:, 1:].T[:, None, :].astype(np.float32), None)


def _read_hdf5(path: Path, model: SurrogateModel) -> Profiles:
    try:
        with h5py.File(path, "r") as file:
            if "inputs" not in file:
                raise InputError(f"{path}: found the datasets {', '.join(file) or 'none'}; accepted is `inputs`")
            for name, wanted in (("input_step", model.input_step), ("input_step_unit", model.input_step_unit)):
                found = plain(file.attrs.get(name))
                same = found == wanted if isinstance(wanted, str) else _close(found, wanted)
                if not same:
                    raise InputError(f"{path}: attribute {name}: found {found!r}; accepted is {wanted!r}")
            for number, unit in enumerate(plain(file.attrs.get("channel_units", np.array([])))):
                if number < len(model.channels):
                    _check_unit(f"{path}: attribute channel_units", unit, model.channels[number])
            inputs = np.asarray(file["inputs"][...], dtype=np.float32)
            if inputs.ndim == len(model.input_shape) and model.input_shape[0] == 1:
                inputs = inputs[:, None]
            context = np.asarray(file["context"][...], dtype=np.float64) if "context" in file else None
            names = [str(plain(name)) for name in file["names"][...]] if "names" in file else None
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: cannot be read ({error}); accepted is a whole HDF5 file with numeric `inputs`"
        ) from None
    _check_length(f"{path}: inputs", inputs.shape[-1] if inputs.ndim > 1 else 0, model)
    if names is not None and len(names) != len(inputs):
        raise InputError(f"{path}: found {len(names)} names; accepted are {len(inputs)}, one per case")
    return Profiles(names or [str(number) for number in range(len(inputs))], inputs, context)


def _close(found: object, wanted: float) -> bool:
    return isinstance(found, int | float) and math.isclose(found, wanted, rel_tol=1e-6)


def write_predictions(path: Path, model: SurrogateModel, names: list[str], predicted: Prediction) -> None:
    """Write predictions as CSV or HDF5, by the ending of ``path``."""
    fields = model.target_fields
    if path.suffix.lower() != ".csv":
        with create_result_file(path, SCHEMA, model.study, fields) as file:
            file.attrs["coverage"] = model.coverage
            file.attrs["novelty_threshold"] = model.novelty_threshold
            file["names"] = fixed_text(names)
            for name in ("mean", "lower", "upper", "novelty", "flagged"):
                file[name] = getattr(predicted, name)
        return
    percent = f"{100 * model.coverage:g}"
    endings = ("", f"_lower{percent}", f"_upper{percent}")
    header = ["profile", *(f"{field.name}{ending} [{field.unit}]" for field in fields for ending in endings)]
    table = np.stack([predicted.mean, predicted.lower, predicted.upper], axis=2).reshape(len(names), -1)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*header, "novelty [1]", "unlike_training"])
        for name, row, novelty, flagged in zip(names, table, predicted.novelty, predicted.flagged, strict=True):
            writer.writerow([name, *(f"{value:.7g}" for value in row), f"{novelty:.5g}", int(flagged)])
        handle.flush()
        os.fsync(handle.fileno())
