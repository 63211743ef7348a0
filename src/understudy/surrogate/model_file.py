"""The trained surrogate as one HDF5 file: weights, transforms, intervals, novelty, and who was in which role.

Nothing in it is executable: the network's code comes from the study's definition, the file holds arrays and names.
Written in a fixed order without times or paths, so that equal models mean equal bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.dataset import Field
from understudy.errors import InputError
from understudy.surrogate.conformal import ScaleModel
from understudy.surrogate.definition import SurrogateDefinition
from understudy.surrogate.ensemble import Ensemble
from understudy.surrogate.network_fit import FittedNetwork
from understudy.surrogate.novelty import Novelty
from understudy.surrogate.result_file import fixed_text, plain
from understudy.surrogate.transforms import TargetTransform

SCHEMA = "understudy.surrogate_model"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Roles:
    """Cases and groups by role: fitted, early stopping, calibration; each (n,) int64 and aligned."""

    fitted_case: np.ndarray
    fitted_group: np.ndarray
    stopping_case: np.ndarray
    stopping_group: np.ndarray
    calibration_case: np.ndarray
    calibration_group: np.ndarray


@dataclass(frozen=True)
class SurrogateModel:
    """A trained surrogate with all that a prediction needs."""

    study: str
    channels: tuple[Field, ...]
    target_fields: tuple[Field, ...]
    context_fields: tuple[Field, ...]
    input_shape: tuple[int, ...]
    input_step: float
    input_step_unit: str
    ensemble: Ensemble
    scale: ScaleModel
    quantile: np.ndarray
    coverage: float
    novelty: Novelty
    novelty_threshold: float
    roles: Roles
    settings: Mapping[str, Any]


def write_model(path: Path, model: SurrogateModel) -> None:
    """Write a model file whole and flushed; the caller renames it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["schema"] = fixed_text(SCHEMA)
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["study"] = fixed_text(model.study)
        file.attrs["settings"] = fixed_text(json.dumps(dict(model.settings), sort_keys=True))
        file.attrs["network"] = fixed_text(json.dumps(dict(model.ensemble.network), sort_keys=True))
        file.attrs["input_step"] = model.input_step
        file.attrs["input_step_unit"] = fixed_text(model.input_step_unit)
        file.attrs["input_shape"] = np.array(model.input_shape, dtype=np.int64)
        file.attrs["coverage"] = model.coverage
        file.attrs["novelty_threshold"] = model.novelty_threshold
        for kind in ("channel", "target", "context"):
            fields = getattr(model, "channels" if kind == "channel" else f"{kind}_fields")
            file.attrs[f"{kind}_fields"] = fixed_text(json.dumps([list(field) for field in fields]))
        for name in sorted(model.ensemble.input_state):
            file[f"input_transform/{name}"] = model.ensemble.input_state[name]
        file.require_group("input_transform")
        for name in ("mean", "deviation", "lowest", "highest"):
            file[f"target_transform/{name}"] = getattr(model.ensemble.target_transform, name)
        for number, member in enumerate(model.ensemble.members):
            group = file.create_group(f"members/{number:03d}")
            group.attrs["best_epoch"] = member.best_epoch
            group["losses"] = member.losses
            for name in sorted(member.weights):
                group[f"weights/{name}"] = member.weights[name]
        for name in ("centre", "width", "coefficients"):
            file[f"intervals/{name}"] = getattr(model.scale, name)
        file["intervals/quantile"] = model.quantile
        for name in ("centre", "components", "references"):
            file[f"novelty/{name}"] = getattr(model.novelty, name)
        for name in Roles.__dataclass_fields__:
            file[f"roles/{name}"] = getattr(model.roles, name)
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def read_model(path: Path, definition: SurrogateDefinition) -> SurrogateModel:
    """Read a model of the study of ``definition``.

    Raises
    ------
    InputError
        If the file is missing, truncated, no HDF5, no surrogate model, of another schema version or study, incomplete,
        or made for other targets than the definition transforms.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; accepted is a trained surrogate (models.h5)")
    try:
        with h5py.File(path, "r") as file:
            _check_head(path, file, definition.study)
            return _read(file, definition)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as HDF5 ({error}); accepted is a whole models.h5, this one is truncated or of "
            "another kind"
        ) from None
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: incomplete surrogate model ({error}); accepted is a whole models.h5") from None


def _check_head(path: Path, file: h5py.File, study: str) -> None:
    schema = plain(file.attrs.get("schema", "none"))
    if schema != SCHEMA:
        raise InputError(f"{path}: found HDF5 with schema {schema!r}; accepted is {SCHEMA!r} (models.h5)")
    version = int(file.attrs.get("schema_version", 0))
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: found schema version {version}; accepted is {SCHEMA_VERSION}: train again")
    found = plain(file.attrs["study"])
    if found != study:
        raise InputError(f"{path}: found a model of study {found!r}; accepted is study {study!r}")


def _read(file: h5py.File, definition: SurrogateDefinition) -> SurrogateModel:
    channels, targets, contexts = (
        tuple(Field(*pair) for pair in json.loads(plain(file.attrs[f"{kind}_fields"])))
        for kind in ("channel", "target", "context")
    )
    transform = TargetTransform(
        definition.target_links([field.name for field in targets]),
        *(file[f"target_transform/{name}"][...] for name in ("mean", "deviation", "lowest", "highest")),
    )
    members = tuple(
        FittedNetwork(
            weights=_arrays(group["weights"]),
            losses=group["losses"][...],
            best_epoch=int(group.attrs["best_epoch"]),
        )
        for group in (file["members"][name] for name in sorted(file["members"]))
    )
    return SurrogateModel(
        study=plain(file.attrs["study"]),
        channels=channels,
        target_fields=targets,
        context_fields=contexts,
        input_shape=tuple(int(size) for size in file.attrs["input_shape"]),
        input_step=float(file.attrs["input_step"]),
        input_step_unit=plain(file.attrs["input_step_unit"]),
        ensemble=Ensemble(
            _arrays(file["input_transform"]), transform, members, json.loads(plain(file.attrs["network"]))
        ),
        scale=ScaleModel(*(file[f"intervals/{name}"][...] for name in ("centre", "width", "coefficients"))),
        quantile=file["intervals/quantile"][...],
        coverage=float(file.attrs["coverage"]),
        novelty=Novelty(*(file[f"novelty/{name}"][...] for name in ("centre", "components", "references"))),
        novelty_threshold=float(file.attrs["novelty_threshold"]),
        roles=Roles(**{name: file[f"roles/{name}"][...] for name in Roles.__dataclass_fields__}),
        settings=json.loads(plain(file.attrs["settings"])),
    )


def _arrays(group: h5py.Group) -> dict[str, np.ndarray]:
    return {name: group[name][...] for name in group}
