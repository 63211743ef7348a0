"""The HDF5 files between the axon study's physics stages; the physics itself knows arrays only.

All files hold fixed chunks and no times, hosts or paths, so equal content means equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.axon.fibre_orientation import FibreField
from understudy.axon.tracts import Tracts
from understudy.axon.white_matter import WhiteMatter
from understudy.content_file import create, opened

ROLES = ("training", "calibration", "heldout")


def _write_white_matter(file: h5py.File, white_matter: WhiteMatter) -> None:
    file["index"] = white_matter.index.astype(np.int32)
    file["centre_mm"] = white_matter.centre_mm
    file["probability"] = white_matter.probability
    file["affine"] = white_matter.affine
    file["shape"] = np.asarray(white_matter.shape, dtype=np.int32)
    file.attrs["voxel_mm"] = float(white_matter.voxel_mm)


def _read_white_matter(file: h5py.File) -> WhiteMatter:
    return WhiteMatter(
        index=file["index"][...],
        centre_mm=file["centre_mm"][...],
        probability=file["probability"][...],
        affine=file["affine"][...],
        shape=tuple(int(n) for n in file["shape"][...]),
        voxel_mm=float(file.attrs["voxel_mm"]),
    )


def write_orientation(
    path: str | Path, white_matter: WhiteMatter, field: FibreField, tracts: Tracts | None = None
) -> None:
    """Write ``fibre_orientation.h5``: white-matter voxels, their fibre directions and, where known, their tracts."""
    with create(path, "fibre orientation") as file:
        _write_white_matter(file, white_matter)
        file["direction"] = field.direction
        file["coherence"] = field.coherence
        file["covered"] = field.covered
        file.attrs["source"] = field.source
        if tracts is not None:
            file["tract"] = tracts.number.astype(np.int16)
            file["tract_names"] = np.asarray(tracts.names, dtype="S")


def read_tracts(path: str | Path) -> Tracts | None:
    """The tracts of the voxels in ``fibre_orientation.h5``; None where none are known."""
    with opened(path, "fibre orientation") as file:
        if "tract" not in file:
            return None
        return Tracts(file["tract"][...], tuple(name.decode() for name in file["tract_names"][...]))


def read_orientation(path: str | Path) -> tuple[WhiteMatter, FibreField]:
    """Read what `write_orientation` wrote."""
    with opened(path, "fibre orientation") as file:
        field = FibreField(
            direction=file["direction"][...],
            coherence=file["coherence"][...],
            covered=file["covered"][...],
            source=str(file.attrs["source"]),
        )
        return _read_white_matter(file), field


@dataclass(frozen=True)
class Strain:
    """``fibre_strain.h5``, opened: fibre strain histories of all impacts on the white-matter voxels.

    Attributes
    ----------
    strain : lazy (impact, voxel, time) float32, engineering strain at ``sample_ms``.
    peak : (impact, voxel) largest tensile strain.
    role : (impact,) ``training``, ``calibration`` or ``heldout``.
    label : (impact,) names.
    angular_velocity : (impact, time, 3) rad/s at ``sample_ms``.
    parameters : one mapping per impact.
    """

    strain: Any
    peak: np.ndarray
    role: tuple[str, ...]
    label: tuple[str, ...]
    angular_velocity: np.ndarray
    parameters: tuple[Mapping[str, Any], ...]
    white_matter: WhiteMatter
    covered: np.ndarray
    element: np.ndarray
    energy_imbalance: np.ndarray
    sample_ms: float
    field_source: str

    def impacts(self, role: str) -> list[int]:
        """Numbers of the impacts with one role."""
        return [impact for impact, found in enumerate(self.role) if found == role]


class StrainWriter:
    """Writes ``fibre_strain.h5`` impact by impact, so that one impact is in memory at a time."""

    def __init__(
        self, path: str | Path, white_matter: WhiteMatter, field: FibreField, element: np.ndarray, samples: int
    ):
        self._file = create(path, "fibre strain")
        _write_white_matter(self._file, white_matter)
        self._file["covered"] = field.covered
        self._file["element"] = element.astype(np.int32)
        self._file.attrs["field_source"] = field.source
        self._file.attrs["sample_ms"] = 1.0
        self._voxels = len(field.covered)
        self._samples = samples

    def __enter__(self) -> StrainWriter:
        return self

    def __exit__(self, *problem: object) -> None:
        self._file.close()

    def impacts(
        self, roles: Sequence[str], labels: Sequence[str], parameters: Sequence[Mapping], velocity: np.ndarray
    ) -> None:
        """The impacts' facts; ``velocity`` (impact, time, 3) rad/s."""
        file, n = self._file, len(roles)
        file["role"] = np.asarray([ROLES.index(role) for role in roles], dtype=np.int8)
        file["label"] = np.asarray(labels, dtype="S")
        file["parameters"] = np.asarray([json.dumps(dict(entry), sort_keys=True) for entry in parameters], dtype="S")
        file["angular_velocity"] = velocity
        chunk = (1, min(self._voxels, 4096), self._samples)
        file.create_dataset("strain", (n, self._voxels, self._samples), np.float32, chunks=chunk)
        file.create_dataset("peak", (n, self._voxels), np.float32)

    def balance(self, imbalance: Sequence[float]) -> None:
        """Largest relative energy imbalance of each impact."""
        self._file["energy_imbalance"] = np.asarray(imbalance)

    def strain(self, impact: int, histories: np.ndarray) -> None:
        """One impact's histories (voxel, time)."""
        self._file["strain"][impact] = histories
        self._file["peak"][impact] = histories.max(axis=1)


@contextmanager
def open_strain(path: str | Path) -> Iterator[Strain]:
    """Open ``fibre_strain.h5``; histories are read as they are sliced."""
    with opened(path, "fibre strain") as file:
        yield Strain(
            strain=file["strain"],
            peak=file["peak"][...],
            role=tuple(ROLES[code] for code in file["role"][...]),
            label=tuple(name.decode() for name in file["label"][...]),
            angular_velocity=file["angular_velocity"][...],
            parameters=tuple(json.loads(entry) for entry in file["parameters"][...]),
            white_matter=_read_white_matter(file),
            covered=file["covered"][...],
            element=file["element"][...],
            energy_imbalance=file["energy_imbalance"][...],
            sample_ms=float(file.attrs["sample_ms"]),
            field_source=str(file.attrs["field_source"]),
        )


@dataclass(frozen=True)
class Samples:
    """``samples.h5``: the profiles that are simulated.

    Attributes
    ----------
    strain : (N, time) float32 histories.
    impact, voxel : (N,) where each comes from.
    split : (N,) ``training``, ``calibration`` or ``heldout``.
    subset : (N,) ``sampled``, ``random`` or ``worst_case``.
    labels : names of all impacts.
    worst_case_sha256 : digest of the worst-case set, fixed before any of it was simulated.
    method : how the training profiles were chosen, in words.
    threshold : similarity threshold of the adaptive sampling, in strain units; NaN for other methods.
    """

    strain: np.ndarray
    impact: np.ndarray
    voxel: np.ndarray
    split: np.ndarray
    subset: np.ndarray
    labels: tuple[str, ...]
    sample_ms: float
    worst_case_sha256: str
    method: str
    threshold: float
    field_source: str


def write_samples(path: str | Path, samples: Samples) -> None:
    """Write ``samples.h5``."""
    with create(path, "samples") as file:
        file["strain"] = samples.strain.astype(np.float32)
        file["impact"] = samples.impact.astype(np.int32)
        file["voxel"] = samples.voxel.astype(np.int32)
        file["split"] = samples.split.astype("S16")
        file["subset"] = samples.subset.astype("S16")
        file["labels"] = np.asarray(samples.labels, dtype="S")
        for name in ("sample_ms", "worst_case_sha256", "method", "threshold", "field_source"):
            file.attrs[name] = getattr(samples, name)


def read_samples(path: str | Path) -> Samples:
    """Read ``samples.h5``."""
    with opened(path, "samples") as file:
        return Samples(
            strain=file["strain"][...],
            impact=file["impact"][...],
            voxel=file["voxel"][...],
            split=file["split"][...].astype(str),
            subset=file["subset"][...].astype(str),
            labels=tuple(name.decode() for name in file["labels"][...]),
            sample_ms=float(file.attrs["sample_ms"]),
            worst_case_sha256=str(file.attrs["worst_case_sha256"]),
            method=str(file.attrs["method"]),
            threshold=float(file.attrs["threshold"]),
            field_source=str(file.attrs["field_source"]),
        )


@dataclass(frozen=True)
class InjuryMap:
    """``injury_map.h5``: the surrogate on every white-matter voxel of one impact.

    Attributes
    ----------
    mean, lower, upper : (voxel, target) float32.
    flagged : (voxel,) inputs unlike the training data.
    """

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    flagged: np.ndarray
    targets: tuple[str, ...]
    impact: int


def write_injury_map(path: str | Path, injury_map: InjuryMap) -> None:
    """Write ``injury_map.h5``."""
    with create(path, "injury map") as file:
        for name in ("mean", "lower", "upper", "flagged"):
            file[name] = getattr(injury_map, name)
        file["targets"] = np.asarray(injury_map.targets, dtype="S")
        file.attrs["impact"] = injury_map.impact


def read_injury_map(path: str | Path) -> InjuryMap:
    """Read ``injury_map.h5``."""
    with opened(path, "injury map") as file:
        arrays = {name: file[name][...] for name in ("mean", "lower", "upper", "flagged")}
        targets = tuple(name.decode() for name in file["targets"][...])
        return InjuryMap(**arrays, targets=targets, impact=int(file.attrs["impact"]))


@dataclass(frozen=True)
class VoxelMaps:
    """Values on every white-matter voxel for one impact, such as those of the direct simulation.

    Attributes
    ----------
    values : name -> (voxel,) float32; NaN where a simulation failed.
    impact : number of the impact.
    """

    values: Mapping[str, np.ndarray]
    impact: int


def write_voxel_maps(path: str | Path, maps: VoxelMaps) -> None:
    """Write maps of one impact, in the order of their names."""
    with create(path, "voxel maps") as file:
        # One table, not a group of maps: HDF5 stores the time at which a group was made.
        file["values"] = np.stack([np.asarray(values, dtype=np.float32) for values in maps.values.values()])
        file["names"] = np.asarray(list(maps.values), dtype="S")
        file.attrs["impact"] = maps.impact


def read_voxel_maps(path: str | Path) -> VoxelMaps:
    """Read what `write_voxel_maps` wrote."""
    with opened(path, "voxel maps") as file:
        names = [name.decode() for name in file["names"][...]]
        return VoxelMaps(dict(zip(names, file["values"][...], strict=True)), int(file.attrs["impact"]))
