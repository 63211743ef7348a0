"""Thresholds of cells in somebody's own field: a SimNIBS mesh or a NIfTI volume, and a table of positions.

The table is CSV with one row per cell: ``cell`` (a name of the model's cells, or ``all``), ``x_mm, y_mm, z_mm`` of the
soma in the field's space, the normal ``nx, ny, nz`` towards the pia, ``azimuth_deg``, and optionally ``name``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from understudy.errors import InputError
from understudy.surrogate.model_file import SurrogateModel, read_model
from understudy.surrogate.predict import Prediction, predict
from understudy.tms.cell_model import build_compartments
from understudy.tms.field_sampling import CellPose, quasi_potentials
from understudy.tms.field_volumes import read_field
from understudy.tms.fields import Field, require_coverage
from understudy.tms.files import Cell, read_cells
from understudy.tms.pulse_choice import RESPONSE_DT_MS, response_waveform
from understudy.tms.pulses import Pulse, read_pulse, standard_pulses
from understudy.tms.surrogate import SURROGATE
from understudy.tms.terminal_features import context_of, terminal_inputs, terminal_response
from understudy.tms.threshold_engine import resting_state

COLUMNS = ("cell", "x_mm", "y_mm", "z_mm", "nx", "ny", "nz", "azimuth_deg")
EVERY_CELL = "all"


class CellPredictor:
    """Trained networks and the cells they know, ready for fields; linear responses are made once for each cell.

    Parameters
    ----------
    model : the trained surrogate.
    cells : those of ``cells.h5`` of the same run.
    pulse : any pulse.
    segment_um : as the run's configuration says.
    """

    def __init__(self, model: SurrogateModel, cells: Sequence[Cell], pulse: Pulse, segment_um: float = 40.0):
        self.model, self.cells = model, list(cells)
        self.waveform = response_waveform(pulse)
        self.models = [
            build_compartments(cell.morphology, cell.cell_type, segment_um=segment_um).compartments for cell in cells
        ]
        self.response = lru_cache(maxsize=None)(self._response)

    def _response(self, cell: int):
        compartments = self.models[cell]
        return terminal_response(compartments, self.waveform, RESPONSE_DT_MS, rest_mV=resting_state(compartments))

    def inputs(self, cell: int, potential: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the network is given of one cell with quasi-potentials (n, M): inputs (n, F, K) and context (n, C)."""
        context = context_of(self.cells[cell].cell_type)
        return terminal_inputs(self.response(cell), potential), np.tile(context, (len(potential), 1))

    def predict(self, inputs: np.ndarray, context: np.ndarray, device: str = "cpu", threads: int = 1) -> Prediction:
        """Thresholds in V/m at the soma with intervals."""
        return predict(self.model, inputs, context, definition=SURROGATE, device=device, threads=threads)


@dataclass(frozen=True)
class Positions:
    """Rows of the table: name (N,), cell (N,) names, and pose."""

    name: list[str]
    cell: list[str]
    pose: CellPose


def read_positions(path: Path, known: Sequence[str]) -> Positions:
    """The table of positions; the cell ``all`` stands for a row of each known one.

    Raises
    ------
    InputError
        Naming file, row and column: a missing column, no number, an unknown cell, a normal without length.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; accepted is CSV with {', '.join(COLUMNS)}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: found no CSV text ({error})") from None
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise InputError(f"{path}: found no {', '.join(missing)}; accepted are the columns {', '.join(COLUMNS)}")
    names, cells, values = [], [], []
    for number, row in enumerate(rows, start=2):
        try:
            numbers = [float(row[column]) for column in COLUMNS[1:]]
        except (TypeError, ValueError):
            numbers = [np.nan]
        if not np.isfinite(numbers).all() or not np.linalg.norm(numbers[3:6]) > 0:
            found = ", ".join(str(row[column]) for column in COLUMNS[1:])
            raise InputError(
                f"{path}: row {number}: found {found}; accepted are finite numbers and a normal that is not 0"
            )
        cell = row["cell"].strip()
        if cell != EVERY_CELL and cell not in known:
            raise InputError(
                f"{path}: row {number}: found cell {cell!r}; accepted are {EVERY_CELL}, {', '.join(known)}"
            )
        for one in known if cell == EVERY_CELL else [cell]:
            names.append((row.get("name") or f"row {number}").strip())
            cells.append(one)
            values.append(numbers)
    table = np.array(values)
    return Positions(names, cells, CellPose(table[:, :3], table[:, 3:6], np.radians(table[:, 6])))


def chosen_pulse(word: str) -> Pulse:
    """A pulse of the study by name, or from a CSV file."""
    known = standard_pulses()
    if word in known:
        return known[word]
    if not word.lower().endswith(".csv"):
        raise InputError(f"--pulse: found {word!r}; accepted are {', '.join(known)} or a CSV file")
    return read_pulse(word)


def predict_in_field(
    model_path: Path,
    cells_path: Path,
    field_path: Path,
    positions_path: Path,
    output_path: Path,
    *,
    pulse: str = "monophasic",
    unit: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> tuple[int, int]:
    """Predict thresholds of the cells of a table in a field, into a CSV file that appears whole or not at all.

    Returns
    -------
    Numbers of predictions and of those flagged as unlike the training data.

    Raises
    ------
    InputError
        If a file is missing or wrong, the field does not cover the cells, or the output exists.
    """
    if output_path.exists() and not overwrite:
        raise InputError(f"{output_path}: exists; accepted is a new name, or --overwrite")
    if not output_path.parent.is_dir():
        raise InputError(f"{output_path}: the folder {output_path.parent} does not exist; accepted is one that does")
    cells, _ = read_cells(cells_path)
    names = [cell.name for cell in cells]
    positions = read_positions(positions_path, names)
    field = read_field(field_path, unit=unit)
    require_coverage(field, positions.pose.position, str(field_path))
    predictor = CellPredictor(read_model(model_path, SURROGATE), cells, chosen_pulse(pulse))
    rows = predictions_of(predictor, field, positions, names, device)
    temporary = output_path.with_name(f".{output_path.stem}.{os.getpid()}{output_path.suffix}")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(_HEADER)
            writer.writerows(rows)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, output_path)
    except OSError as error:
        raise InputError(f"{output_path}: cannot be written ({error}); accepted is a writable place") from None
    finally:
        temporary.unlink(missing_ok=True)
    return len(rows), sum(int(row[-1] or 0) for row in rows)


_HEADER = (
    "name",
    "cell",
    "field_V_per_m",
    "threshold_V_per_m",
    "threshold_lower90_V_per_m",
    "threshold_upper90_V_per_m",
    "threshold_over_field",
    "share_outside_tissue",
    "unlike_training",
)


def predictions_of(
    predictor: CellPredictor, field: Field, positions: Positions, names: Sequence[str], device: str
) -> list[tuple]:
    """Rows of the output, in the table's order; a cell whose soma lies outside the field has empty predictions."""
    found: list[tuple] = [()] * len(positions.cell)
    for cell in sorted(set(positions.cell)):
        rows = [row for row, name in enumerate(positions.cell) if name == cell]
        number = names.index(cell)
        sampled = quasi_potentials(field, predictor.models[number], positions.pose.part(np.array(rows)))
        strength = np.linalg.norm(sampled.centre_field, axis=1)
        outside = 1 - sampled.inside.mean(axis=1)
        known = np.isfinite(sampled.potential).all(axis=1)
        predicted = predictor.predict(*predictor.inputs(number, sampled.potential[known]), device=device)
        place = np.cumsum(known) - 1
        for n, row in enumerate(rows):
            head = (positions.name[row], cell)
            if not known[n]:
                found[row] = (*head, "", "", "", "", "", f"{outside[n]:.3f}", "")
                continue
            mean, low, high = (getattr(predicted, part)[place[n], 0] for part in ("mean", "lower", "upper"))
            found[row] = (
                *head,
                *(f"{value:.6g}" for value in (strength[n], mean, low, high, mean / strength[n])),
                f"{outside[n]:.3f}",
                int(predicted.flagged[place[n]]),
            )
    return found
