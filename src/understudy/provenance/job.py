"""A job: checked inputs, outputs that appear whole or not at all, and a provenance record written last."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from understudy.errors import InputError
from understudy.provenance import attempts
from understudy.provenance.environment import command_line, describe_environment, repository_state
from understudy.provenance.fingerprint import REPOSITORY, fingerprint_files
from understudy.provenance.inputs import checked_inputs, flattened
from understudy.provenance.record import (
    SCHEMA,
    canonical_sha256,
    new_job_id,
    plain,
    record_path,
    sync_folder,
    write_record,
)
from understudy.provenance.run_folder import PARTIAL, WORK_FOLDER, file_sha256, portable, run_folder_of

SEED_DERIVATION = "case i draws from numpy.random.SeedSequence(root, spawn_key=(study, stage, i))"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Terminated(SystemExit):
    """SIGTERM, raised where the program stands so that it ends in order and without a traceback."""


class Job:
    """What a program sees of its job.

    Attributes
    ----------
    id : str, the job's identifier.
    run_folder, work : Path, ``results/<run>`` and its ``.work`` folder for shards and checkpoints.
    code : str, the code fingerprint.
    input_hashes : dict, input name -> sha256 (hexadecimal).
    """

    def __init__(self, run_folder: Path, outputs: dict[str, Path], code: str, input_hashes: dict[str, str]) -> None:
        self.id = new_job_id()
        self.run_folder = run_folder
        self.work = run_folder / WORK_FOLDER
        self.code = code
        self.input_hashes = input_hashes
        self.notes: dict[str, Any] = {}
        self._outputs = outputs
        owner = f"{socket.gethostname()}-{os.getpid()}"
        # The suffix stays, because writers of figures and tables look at it.
        self._temporary = {
            name: path.with_name(f".{path.stem}.{owner}{PARTIAL}{path.suffix}") for name, path in outputs.items()
        }

    def temporary(self, name: str) -> Path:
        """Where to write output ``name`` now; it gets its own name when the job is done.

        Raises
        ------
        KeyError
            If the job has no such output.
        """
        return self._temporary[name]

    def note(self, key: str, value: Any) -> None:
        """Put something into the record: MPI sizes and hosts, device, counts."""
        self.notes[key] = plain(value)

    def remove_temporaries(self) -> None:
        """Remove what was written so far."""
        for path in self._temporary.values():
            path.unlink(missing_ok=True)

    def publish(self) -> list[dict[str, Any]]:
        """Make the outputs durable, give them their names, and return their record entries.

        Raises
        ------
        RuntimeError
            If the program did not write one of them.
        """
        for name, path in self._temporary.items():
            if not path.is_file():
                raise RuntimeError(f"output {name!r} was not written: {self._outputs[name]}")
        entries = []
        for name, path in self._temporary.items():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
            entries.append(
                {
                    "name": name,
                    "path": portable(self._outputs[name], self.run_folder),
                    "size": path.stat().st_size,
                    "sha256": file_sha256(path),
                }
            )
        named: list[Path] = []
        try:
            for name, path in self._temporary.items():
                os.replace(path, self._outputs[name])
                named.append(self._outputs[name])
        except BaseException:
            for path in named:
                path.unlink(missing_ok=True)
            raise
        for folder in {path.parent for path in self._outputs.values()}:
            sync_folder(folder)
        return entries


def _common_folder(outputs: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.resolve().parent for path in outputs]))


def _checked_outputs(outputs: Mapping[str, Path | str], overwrite: bool) -> dict[str, Path]:
    """Absolute paths of the outputs, in folders that exist and can be written."""
    checked = {name: Path(path).absolute() for name, path in outputs.items()}
    if not checked:
        raise ValueError("a job needs at least one output")
    for name, path in checked.items():
        if path.is_dir():
            raise InputError(f"{path}: is a folder; accepted for output {name!r} is the name of a file")
        if path.exists() and not overwrite:
            raise InputError(f"{path}: exists; accepted is a new name for output {name!r}, or --overwrite")
    for folder in {path.parent for path in checked.values()}:
        _require_writable(folder)
    return checked


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Permissions alone do not tell: read-only file systems and root differ from them.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}); accepted is a writable folder with free space"
        ) from None


def _remove_leftovers(outputs: Mapping[str, Path]) -> None:
    """Remove unfinished files of these outputs whose process on this host is gone."""
    prefix = f"{socket.gethostname()}-"
    for path in outputs.values():
        for leftover in path.parent.glob(f".{path.stem}.{prefix}*{PARTIAL}{path.suffix}"):
            number = leftover.name[len(f".{path.stem}.{prefix}") :].partition(".")[0]
            if number.isdigit() and int(number) != os.getpid() and not psutil.pid_exists(int(number)):
                leftover.unlink(missing_ok=True)


def _storage_problem(error: OSError) -> str | None:
    """What is wrong with the storage, when that is the error; HDF5 tells its errno in the text only."""
    number = error.errno
    if number is None:
        number = next((code for code in _FULL if f"errno = {code}" in str(error)), None)
    if number in _FULL:
        return f"disk full or file size limit reached ({os.strerror(number)})"
    if number == errno.EROFS:
        return os.strerror(number)
    return None


def _checked_code(program: str, code: str | None, study: str | None, root: Path | None) -> dict[str, Any]:
    """``fingerprint``, ``files`` and ``versions`` of the present code, which must be the expected one."""
    current = fingerprint_files(program, study, root)
    current["fingerprint"] = current.pop("digest")
    if code is not None and code != current["fingerprint"]:
        raise InputError(
            f"--code: found {code}, but the code of {program} is {current['fingerprint']} now: it changed after the "
            "workflow was started; run snakemake again"
        )
    return current


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that schedulers that end a job leave an entry and no half files."""

    def terminate(number: int, frame: Any) -> None:
        raise _Terminated(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous if previous is not None else signal.SIG_DFL)


def _resources() -> tuple[float, int]:
    """CPU seconds of this process and its ended children, and the larger of their peak memories in bytes."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    scale = 1 if sys.platform == "darwin" else 1024
    seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return seconds, max(own.ru_maxrss, children.ru_maxrss) * scale


@contextlib.contextmanager
def job(
    *,
    program: str,
    inputs: Mapping[str, Path | str | Sequence[Path | str]],
    outputs: Mapping[str, Path | str],
    parameters: Mapping[str, Any],
    code: str | None = None,
    seed: int | None = None,
    overwrite: bool = False,
    study: str | None = None,
    seed_derivation: str = SEED_DERIVATION,
    run_folder: Path | None = None,
    root: Path | None = None,
) -> Iterator[Job]:
    """Run the body as one job; under MPI rank 0 alone enters it.

    Parameters
    ----------
    program : name of the program and of its rule.
    inputs : name -> path, or list of paths.
    outputs : name -> path; the record lies beside the first.
    parameters : merged parameters that the result depends on.
    code : fingerprint that the workflow expects; None (a run by hand) takes the present code.
    seed : root seed, where the job draws random numbers.
    overwrite : replace outputs that exist.
    study : the study that the job works for.
    seed_derivation : how a case's seed follows from the root seed, in words for the record.
    run_folder : folder to which records and paths are relative; found above the first output by default, and the
        outputs' common folder outside any run.
    root : repository of the code; the running code's own by default.

    Raises
    ------
    InputError
        Before the body runs: missing or changed inputs, another code than expected, outputs that exist or lie outside
        the run, folders that cannot be written. After it: a full disk. Outputs then stay absent.
    """
    files = _checked_code(program, code, study, root)
    values = plain(parameters)
    flat = flattened(inputs)
    named = {name: Path(path) for name, path in outputs.items()}
    first = next(iter(named.values())).absolute()
    folder = Path(run_folder).resolve() if run_folder is not None else run_folder_of(first)
    if folder is None:
        folder = _common_folder([path.absolute() for path in named.values()])
    entries = checked_inputs(flat, folder)
    targets = _checked_outputs(named, overwrite)
    for name, path in targets.items():
        if not path.resolve().is_relative_to(folder):
            raise InputError(f"{path}: lies outside {folder}; accepted for output {name!r} is a file of the same run")
    _remove_leftovers(targets)
    this = Job(folder, targets, files["fingerprint"], {entry["name"]: entry["sha256"] for entry in entries})
    start = attempts.now()
    cpu_before, _ = _resources()
    details = {"outputs": [portable(path, folder) for path in targets.values()], "study": study, "code": this.code}
    try:
        attempts.append(this.work, program, "start", this.id, {**details, **attempts.this_process()})
    except OSError as error:
        raise InputError(f"{this.work}: cannot be written ({error.strerror}); accepted is a writable folder") from None

    def failed(event: str, text: str) -> None:
        this.remove_temporaries()
        with contextlib.suppress(OSError):  # a full disk must not hide the error that it caused
            attempts.append(this.work, program, event, this.id, {"error": text})

    record_file = record_path(first)
    try:
        with _sigterm_raises():
            yield this
            # From here to the record's end the outputs change names: old ones have no valid record any more.
            record_file.unlink(missing_ok=True)
            published = this.publish()
            cpu_after, peak = _resources()
            record = {
                "schema": SCHEMA,
                "job": this.id,
                "program": program,
                "study": study,
                "outputs": published,
                "inputs": entries,
                "parameters": values,
                "parameters_sha256": canonical_sha256(values),
                "command": command_line(folder),
                "code": {**repository_state(root or REPOSITORY), **files},
                "environment": describe_environment(root or REPOSITORY),
                "notes": this.notes,
                "seed": None if seed is None else {"root": int(seed), "derivation": seed_derivation},
                "time": {
                    "start": start,
                    "end": attempts.now(),
                    "cpu_s": cpu_after - cpu_before,
                    "peak_memory_bytes": peak,
                },
                "status": "completed",
            }
            try:
                write_record(record_file, record)
            except BaseException:
                for path in targets.values():
                    path.unlink(missing_ok=True)
                raise
            # The files are whole now; a log that cannot grow any more must not undo them.
            with contextlib.suppress(OSError):
                attempts.append(this.work, program, "end", this.id, {"outputs": published, "record": record_file.name})
    except _Terminated:
        failed("interrupted", "SIGTERM")
        raise
    except KeyboardInterrupt:
        failed("interrupted", "SIGINT")
        raise
    except OSError as error:
        problem = _storage_problem(error)
        failed("error", f"{type(error).__name__}: {error}")
        if problem is None:
            raise
        where = error.filename or folder
        raise InputError(f"{where}: {problem}; accepted is a results folder with free space") from error
    except BaseException as error:
        failed("error", f"{type(error).__name__}: {error}")
        raise
