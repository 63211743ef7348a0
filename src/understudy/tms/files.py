"""The HDF5 files between the TMS study's stages; the physics itself knows arrays only.

All files hold no times, hosts or paths, so equal content means equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.content_file import create, opened
from understudy.tms.fields import GridField
from understudy.tms.morphology import KINDS, Morphology, Section


def _texts(values: h5py.Dataset) -> list[str]:
    return [value.decode() for value in values[...]]


@dataclass(frozen=True)
class Cell:
    """A cell of the study.

    Attributes
    ----------
    morphology : unscaled, in the cell's frame.
    cell_type : its channels and its layer.
    source : ``synthetic``, or the name of the file it was read from.
    gate : (398,) V/m or as many directions as the gate has, thresholds in a uniform field.
    rejected : cells generated for this place before this one, which the gate refused.
    """

    morphology: Morphology
    cell_type: str
    source: str
    gate: np.ndarray
    rejected: int

    @property
    def name(self) -> str:
        return self.morphology.name


_FLAT = ("kind", "parent", "points_in_section", "points", "diameters")


def flattened(morphology: Morphology) -> dict[str, np.ndarray]:
    """A morphology as arrays by name, for files and shards."""
    sections = morphology.sections
    return {
        "kind": np.array([KINDS.index(section.kind) for section in sections], dtype=np.int8),
        "parent": np.array([section.parent for section in sections], dtype=np.int32),
        "points_in_section": np.array([len(section.points) for section in sections], dtype=np.int32),
        "points": np.concatenate([section.points for section in sections]).astype(np.float64),
        "diameters": np.concatenate([section.diameters for section in sections]).astype(np.float64),
    }


def unflattened(name: str, arrays: Mapping[str, np.ndarray]) -> Morphology:
    """The morphology that `flattened` made arrays of."""
    ends = np.cumsum(arrays["points_in_section"])[:-1]
    points, diameters = np.split(arrays["points"], ends), np.split(arrays["diameters"], ends)
    columns = zip(arrays["kind"], arrays["parent"], points, diameters, strict=True)
    return Morphology(name, tuple(Section(KINDS[kind], int(parent), *shape) for kind, parent, *shape in columns))


def write_cells(path: str | Path, cells: Sequence[Cell], directions: np.ndarray) -> None:
    """Write ``cells.h5``: morphologies with the thresholds (V/m) they were accepted by, and their directions (D, 3)."""
    with create(path, "cells") as file:
        file["directions"] = directions
        file["names"] = np.asarray([cell.name for cell in cells], dtype="S")
        for number, cell in enumerate(cells):
            group = file.create_group(f"cell_{number:03d}")
            group.attrs["name"] = cell.name
            group.attrs["cell_type"] = cell.cell_type
            group.attrs["source"] = cell.source
            group.attrs["rejected"] = int(cell.rejected)
            for name, values in flattened(cell.morphology).items():
                group[name] = values
            group["gate"] = cell.gate


def read_cells(path: str | Path) -> tuple[list[Cell], np.ndarray]:
    """The cells of ``cells.h5`` and the directions (D, 3) of their gate."""
    with opened(path, "cells") as file:
        cells = []
        for number in range(len(file["names"])):
            group = file[f"cell_{number:03d}"]
            cells.append(
                Cell(
                    morphology=unflattened(str(group.attrs["name"]), {name: group[name][...] for name in _FLAT}),
                    cell_type=str(group.attrs["cell_type"]),
                    source=str(group.attrs["source"]),
                    gate=group["gate"][...],
                    rejected=int(group.attrs["rejected"]),
                )
            )
        return cells, file["directions"][...]


@dataclass(frozen=True)
class Placement:
    """A coil over a cortical patch: the unit that is split into training, calibration and held-out.

    Attributes
    ----------
    name : such as ``training patch 3, placement 1``.
    role : ``training``, ``calibration``, ``heldout`` or ``second_head``.
    head : 0 for the head that is trained on, 1 for the second one.
    patch : number of the patch, over all roles.
    centre_mm : (3,) centre of the patch.
    pose : (4, 4) coil frame to head frame, mm.
    """

    name: str
    role: str
    head: int
    patch: int
    centre_mm: np.ndarray
    pose: np.ndarray


def write_placements(path: str | Path, placements: Sequence[Placement], vertices: Sequence[np.ndarray]) -> None:
    """Write ``placements.h5``; ``vertices[patch]`` are the surface's vertex numbers of a patch."""
    with create(path, "placements") as file:
        for name in ("name", "role"):
            file[name] = np.asarray([getattr(placement, name) for placement in placements], dtype="S")
        for name, kind in (("head", np.int8), ("patch", np.int32)):
            file[name] = np.asarray([getattr(placement, name) for placement in placements], dtype=kind)
        file["centre_mm"] = np.stack([placement.centre_mm for placement in placements])
        file["pose"] = np.stack([placement.pose for placement in placements])
        file["vertices"] = np.concatenate(vertices).astype(np.int32)
        file["vertices_in_patch"] = np.array([len(found) for found in vertices], dtype=np.int32)


def read_placements(path: str | Path) -> tuple[list[Placement], list[np.ndarray]]:
    """What `write_placements` wrote."""
    with opened(path, "placements") as file:
        columns = (
            _texts(file["name"]),
            _texts(file["role"]),
            file["head"][...].tolist(),
            file["patch"][...].tolist(),
            file["centre_mm"][...],
            file["pose"][...],
        )
        ends = np.cumsum(file["vertices_in_patch"][...])
        vertices = np.split(file["vertices"][...], ends[:-1])
        return [Placement(*values) for values in zip(*columns, strict=True)], vertices


@dataclass(frozen=True)
class PlacedCells:
    """``samples.h5``: N cells placed in the fields, with their pulses.

    Attributes
    ----------
    cell : (N,) number of the cell in ``cells.h5``.
    placement : (N,) number of the coil placement in ``placements.h5``; the group of the case.
    position_mm : (N, 3) soma, normal (N, 3) towards the pia, azimuth_rad (N,).
    pulse : (N,) index into ``pulses``, the names.
    split, subset : (N,) as in the ground-truth file.
    vertex : (N,) number of the position in its placement: cells of one type that share it form a population.
    drawn, refused : (placements, types) positions drawn, and refused because too much of the cell lies outside tissue.
    types : names of the cell types in that order.
    """

    cell: np.ndarray
    placement: np.ndarray
    position_mm: np.ndarray
    normal: np.ndarray
    azimuth_rad: np.ndarray
    pulse: np.ndarray
    split: np.ndarray
    subset: np.ndarray
    vertex: np.ndarray
    drawn: np.ndarray
    refused: np.ndarray
    pulses: tuple[str, ...]
    types: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cell)


_SAMPLE_COLUMNS = {
    "cell": np.int16,
    "placement": np.int32,
    "position_mm": np.float64,
    "normal": np.float64,
    "azimuth_rad": np.float64,
    "pulse": np.int8,
    "vertex": np.int32,
    "drawn": np.int64,
    "refused": np.int64,
}


def write_samples(path: str | Path, samples: PlacedCells) -> None:
    """Write ``samples.h5``."""
    with create(path, "placed cells") as file:
        for name, kind in _SAMPLE_COLUMNS.items():
            file[name] = np.asarray(getattr(samples, name), dtype=kind)
        for name in ("split", "subset", "pulses", "types"):
            file[name] = np.asarray(list(getattr(samples, name)), dtype="S")


def read_samples(path: str | Path) -> PlacedCells:
    """What `write_samples` wrote."""
    with opened(path, "placed cells") as file:
        columns = {name: file[name][...] for name in _SAMPLE_COLUMNS}
        texts = {name: _texts(file[name]) for name in ("split", "subset", "pulses", "types")}
        return PlacedCells(
            **columns,
            split=np.array(texts["split"]),
            subset=np.array(texts["subset"]),
            pulses=tuple(texts["pulses"]),
            types=tuple(texts["types"]),
        )


@dataclass(frozen=True)
class HeadLabels:
    """A head as it is drawn: labels (nx, ny, nz) uint8 (`understudy.tms.head_model.TISSUES`), affine (4, 4) to mm."""

    labels: np.ndarray
    affine: np.ndarray


def write_fields(
    path: str | Path, fields: Iterable[tuple[int, GridField]], heads: Mapping[int, HeadLabels] | None = None
) -> None:
    """Write ``fields.h5``: the field (V/m for 1 A/us) of each placement on a grid with its tissue, and the heads."""
    with create(path, "fields") as file:
        for number, field in fields:
            group = file.create_group(f"placement_{number:04d}")
            # Bytes as they are: fields hardly compress, and are read once for each block of cells.
            group["value"] = np.asarray(field.value, dtype=np.float32)
            group["tissue"] = np.asarray(field.tissue, dtype=bool)
            group["affine"] = np.asarray(field.affine, dtype=np.float64)
        for number, head in (heads or {}).items():
            group = file.create_group(f"head_{number}")
            group.create_dataset("labels", data=head.labels, chunks=True, compression="gzip")
            group["affine"] = head.affine


def read_heads(path: str | Path) -> dict[int, HeadLabels]:
    """The heads of ``fields.h5`` by number."""
    with opened(path, "fields") as file:
        names = sorted(name for name in file if name.startswith("head_"))
        return {
            int(name.removeprefix("head_")): HeadLabels(file[name]["labels"][...], file[name]["affine"][...])
            for name in names
        }


@contextmanager
def open_fields(path: str | Path) -> Iterator[Callable[[int], GridField]]:
    """``fields.h5``, opened: a function from the number of a placement to its field."""
    with opened(path, "fields") as file:

        def field(placement: int) -> GridField:
            group = file[f"placement_{placement:04d}"]
            return GridField(group["value"][...], group["affine"][...], group["tissue"][...])

        yield field


@dataclass(frozen=True)
class SimulatedThresholds:
    """``thresholds.h5``: what is known of the N simulated thresholds beside what surrogates are given.

    Attributes
    ----------
    threshold : (N,) V/m at the soma; NaN where none was found.
    site_kind : (N,) index into `understudy.tms.compartments.COMPARTMENT_KINDS` of the first spike, -1 where none was.
    site_to_terminal_um : (N,) way from there to the nearest axon terminal; infinite where there is none behind it.
    time_ms : (N,) of the first spike; runs (N,) simulations of the search.
    cell, placement, pulse, vertex, azimuth_rad, split, subset : as in ``samples.h5``.
    centre_field : (N, 3) V/m for 1 A/us at the soma, in the cell's frame.
    coefficients : (N, 26) divergence-free polynomial of the field over its magnitude at the soma.
    cube : lazy (N, 3, 9, 9, 9) float32, the published network's input.
    cube_strength : (N,) field at the cube's centre over that at the soma.
    attributes : ``cpu_s_per_threshold``, ``not_found``.
    """

    threshold: np.ndarray
    site_kind: np.ndarray
    site_to_terminal_um: np.ndarray
    time_ms: np.ndarray
    runs: np.ndarray
    cell: np.ndarray
    placement: np.ndarray
    pulse: np.ndarray
    vertex: np.ndarray
    azimuth_rad: np.ndarray
    split: np.ndarray
    subset: np.ndarray
    centre_field: np.ndarray
    coefficients: np.ndarray
    cube_strength: np.ndarray
    cube: Any
    attributes: Mapping[str, Any]


_THRESHOLD_COLUMNS = (
    *("threshold", "site_kind", "site_to_terminal_um", "time_ms", "runs", "cell", "placement", "pulse", "vertex"),
    *("azimuth_rad", "centre_field", "coefficients", "cube_strength"),
)


def write_thresholds(path: str | Path, found: SimulatedThresholds) -> None:
    """Write ``thresholds.h5``."""
    with create(path, "thresholds") as file:
        for name in _THRESHOLD_COLUMNS:
            file[name] = getattr(found, name)
        for name in ("split", "subset"):
            file[name] = np.asarray(list(getattr(found, name)), dtype="S")
        file.create_dataset("cube", data=found.cube.astype(np.float32), chunks=(1, *found.cube.shape[1:]))
        for name, value in found.attributes.items():
            file.attrs[name] = value


@contextmanager
def open_thresholds(path: str | Path) -> Iterator[SimulatedThresholds]:
    """``thresholds.h5``, opened; the cubes are read on demand."""
    with opened(path, "thresholds") as file:
        yield SimulatedThresholds(
            **{name: file[name][...] for name in _THRESHOLD_COLUMNS},
            split=np.array(_texts(file["split"])),
            subset=np.array(_texts(file["subset"])),
            cube=file["cube"],
            attributes={name: value for name, value in file.attrs.items() if name not in ("content", "schema")},
        )


def write_directions(path: str | Path, names: Sequence[str], directions: np.ndarray, threshold: np.ndarray) -> None:
    """Write ``direction_maps.h5``: thresholds (cells, D) V/m of uniform fields along directions (D, 3)."""
    with create(path, "direction maps") as file:
        file["names"] = np.asarray(list(names), dtype="S")
        file["directions"] = directions
        file["threshold"] = threshold


def read_directions(path: str | Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the cells, directions (D, 3) and thresholds (cells, D) V/m."""
    with opened(path, "direction maps") as file:
        return _texts(file["names"]), file["directions"][...], file["threshold"][...]


@dataclass(frozen=True)
class ThresholdMap:
    """``threshold_map.h5``: predicted thresholds over the cortex of one hemisphere under one coil.

    Attributes
    ----------
    points_mm : (V, 3) between white and pial surface; triangles (T, 3).
    types : names of the cell types.
    median_A_per_us : (types, V) median over clones and azimuths; NaN where the field is not known.
    median_V_per_m : (types, V) the same as field strength at the soma.
    interval_width : (types, V) median width of the 90 % interval over the prediction, a fraction.
    flagged : (types, V) share of predictions flagged as unlike the training data.
    strength : (types, V) V/m for 1 A/us at the soma.
    pose : (4, 4) coil frame to head frame, mm.
    """

    points_mm: np.ndarray
    triangles: np.ndarray
    types: tuple[str, ...]
    median_A_per_us: np.ndarray
    median_V_per_m: np.ndarray
    interval_width: np.ndarray
    flagged: np.ndarray
    strength: np.ndarray
    pose: np.ndarray


_MAP_COLUMNS = (
    *("points_mm", "triangles", "median_A_per_us", "median_V_per_m", "interval_width", "flagged", "strength", "pose"),
)


def write_threshold_map(path: str | Path, found: ThresholdMap) -> None:
    """Write ``threshold_map.h5``."""
    with create(path, "threshold map") as file:
        for name in _MAP_COLUMNS:
            file[name] = getattr(found, name)
        file["types"] = np.asarray(list(found.types), dtype="S")


def read_threshold_map(path: str | Path) -> ThresholdMap:
    """What `write_threshold_map` wrote."""
    with opened(path, "threshold map") as file:
        return ThresholdMap(**{name: file[name][...] for name in _MAP_COLUMNS}, types=tuple(_texts(file["types"])))
