"""A job's inputs: what made each, and whether it still is what was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from understudy.errors import InputError
from understudy.provenance.record import read_record, record_path, records_in
from understudy.provenance.run_folder import (
    file_sha256,
    is_configuration,
    portable,
    produce_command,
    rerun_command,
    run_folder_of,
    size_bytes,
)

Producer = tuple[Path, dict[str, Any], dict[str, Any]]


class RecordIndex:
    """Finds the record that claims a file; the records of a folder are read once."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[Path, Producer]] = {}

    def _claims(self, folder: Path, run_folder: Path | None) -> dict[Path, Producer]:
        if folder not in self._known:
            claims: dict[Path, Producer] = {}
            for location, record in records_in(folder, recursive=run_folder is not None).items():
                # Outside a run, recorded paths are relative to a run folder that is elsewhere: the record lies beside
                # its first output in any case.
                first = Path(record["outputs"][0]["path"]).parent
                for output in record["outputs"]:
                    if run_folder is not None:
                        claimed = run_folder / output["path"]
                    elif Path(output["path"]).parent == first:
                        claimed = location.parent / Path(output["path"]).name
                    else:
                        continue
                    claims[claimed] = (location, record, output)
            self._known[folder] = claims
        return self._known[folder]

    def producer(self, path: Path) -> Producer | None:
        """Record file, record and the record's entry for ``path``, or None."""
        path = path.resolve()
        run_folder = run_folder_of(path)
        folder = run_folder if run_folder is not None else path.parent
        return self._claims(folder, run_folder).get(path)


def flattened(inputs: Mapping[str, Path | str | Sequence[Path | str]]) -> dict[str, Path]:
    """One path per name; the members of a list are called ``name.0``, ``name.1`` and so on."""
    flat: dict[str, Path] = {}
    for name, value in inputs.items():
        if isinstance(value, str | Path):
            flat[name] = Path(value)
        else:
            flat.update({f"{name}.{position}": Path(item) for position, item in enumerate(value)})
    return flat


def _checked(name: str, path: Path, run_folder: Path, index: RecordIndex) -> dict[str, Any]:
    own_run = run_folder_of(path)
    inside = own_run is not None and path.resolve().is_relative_to(own_run)
    relative = path.resolve().relative_to(own_run).as_posix() if inside else None
    if not path.exists():
        advice = f"; produce it with: {produce_command(own_run, relative)}" if relative is not None else ""
        raise InputError(f"{path}: no such file, needed as input {name!r}{advice}")
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), needed as input {name!r}") from None
    entry: dict[str, Any] = {
        "name": name,
        "path": portable(path, run_folder),
        "size": size_bytes(path),
        "sha256": digest,
    }
    found = index.producer(path)
    if found is not None:
        location, record, claimed = found
        if claimed["sha256"] != digest:
            where = own_run if own_run is not None else run_folder
            raise InputError(
                f"{path}: changed since {record['program']} wrote it: expected sha256 {claimed['sha256']}, "
                f"found {digest}; make it anew with: {rerun_command(where, record['program'])}"
            )
        producer = {"job": record["job"], "program": record["program"], "record": portable(location, run_folder)}
        return {**entry, "kind": "result", "producer": producer}
    if relative is None:
        return {**entry, "kind": "external"}
    if is_configuration(relative):
        return {**entry, "kind": "configuration"}
    if record_path(path).exists():
        try:
            read_record(record_path(path))
        except InputError as error:
            raise InputError(f"{error}; make {path} anew with: {produce_command(own_run, relative)} --force") from None
    raise InputError(
        f"{path}: found no provenance record for input {name!r}; accepted is a file that a job of this run made: "
        f"{produce_command(own_run, relative)}"
    )


def checked_inputs(inputs: Mapping[str, Path], run_folder: Path) -> list[dict[str, Any]]:
    """Record entries of a job's inputs, after comparing each with its producer's record.

    Parameters
    ----------
    inputs : name -> path, as from `flattened`.
    run_folder : the consuming job's run folder.

    Raises
    ------
    InputError
        For a file that is missing, that changed since its job wrote it, or that lies among the results of a run
        without a record. Stage files below ``config/`` and files from outside a run need none.
    """
    index = RecordIndex()
    return [_checked(name, path, run_folder, index) for name, path in inputs.items()]
