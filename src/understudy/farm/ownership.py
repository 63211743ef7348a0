"""One owner per shard folder: a file that names every process of the job, kept warm by a heartbeat.

The heartbeat is the file's modification time. On the owner's own host its processes are looked up; from another host
only the heartbeat can tell.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from understudy.errors import InputError
from understudy.farm.processes import ProcessIdentity, identify, launcher_of, own_workflow, workflow_of

OWNER = "owner.json"
STALE_AFTER_S = 120.0
"""A heartbeat older than this, seen from another host, means that the owner is gone."""

_ENDING_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Owner:
    """The job that writes into a shard folder.

    Attributes
    ----------
    folder : the owned folder.
    label : what it computes.
    token : unique name of this ownership.
    processes : ranks, in rank order.
    launcher : MPI launcher on the host of rank 0, if any.
    workflow : Snakemake that stood above rank 0 when the job started, if any.
    """

    folder: Path
    label: str
    token: str
    processes: tuple[ProcessIdentity, ...]
    launcher: ProcessIdentity | None
    workflow: ProcessIdentity | None

    @property
    def host(self) -> str:
        """Host of rank 0."""
        return self.processes[0].host

    @property
    def pid(self) -> int:
        """Process number of rank 0."""
        return self.processes[0].pid

    def heartbeat_age_s(self) -> float:
        """Seconds since the last heartbeat; infinite if the owner file is gone."""
        try:
            return max(0.0, time.time() - (self.folder / OWNER).stat().st_mtime)
        except FileNotFoundError:
            return float("inf")

    def state(self) -> str:
        """``"alive"``, ``"ending"`` (part of the job is gone, the rest about to follow) or ``"gone"``."""
        local = [process for process in self.processes if process.local]
        living = [process for process in local if process.alive()]
        if living:
            launched = self.launcher is None or not self.launcher.local or self.launcher.alive()
            return "alive" if launched and len(living) == len(local) else "ending"
        if len(local) < len(self.processes) and self.heartbeat_age_s() < STALE_AFTER_S:
            return "ending" if local else "alive"
        return "gone"

    @property
    def orphan(self) -> bool:
        """Started by a Snakemake that no longer lives, as far as this host can tell.

        A job that was started by hand is nobody's orphan.
        """
        if self.workflow is None or not self.workflow.local:
            return False
        return not any(process.local and workflow_of(process.pid) is not None for process in self.processes)


def _identity(content: dict | None) -> ProcessIdentity | None:
    return None if content is None else ProcessIdentity(content["host"], content["pid"], content["started"])


def read_owner(folder: Path) -> Owner | None:
    """The owner noted in a folder, living or not; None without one or with an unreadable note."""
    try:
        content = json.loads((folder / OWNER).read_text())
        processes = tuple(_identity(process) for process in content["processes"])
        return Owner(
            folder=folder,
            label=content["label"],
            token=content["token"],
            processes=processes,
            launcher=_identity(content["launcher"]),
            workflow=_identity(content["workflow"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def is_owned(folder: Path) -> bool:
    """Whether a job writes into the folder now."""
    owner = read_owner(folder)
    return owner is not None and owner.state() != "gone"


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let newcomers look at a stale owner one after the other."""
    with open(folder / "owner.lock", "w") as file:
        # On a file system without locks the exclusive link in `acquire` still decides.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def acquire(folder: Path, label: str, processes: Sequence[ProcessIdentity]) -> Owner:
    """Become the owner of ``folder``, taking over from an owner that is gone.

    Parameters
    ----------
    processes : identities of all ranks, in rank order; the caller is rank 0.

    Raises
    ------
    InputError
        If another job owns the folder and lives. One that is about to end is waited for, for up to 10 s.
    """
    owner = Owner(folder, label, uuid.uuid4().hex, tuple(processes), launcher_of(os.getpid()), own_workflow())
    content = {
        "label": label,
        "token": owner.token,
        "processes": [process.to_json() for process in owner.processes],
        "launcher": owner.launcher.to_json() if owner.launcher else None,
        "workflow": owner.workflow.to_json() if owner.workflow else None,
    }
    with _one_at_a_time(folder):
        deadline = time.monotonic() + _ENDING_S
        while (present := read_owner(folder)) is not None and (state := present.state()) != "gone":
            if state == "alive" or time.monotonic() > deadline:
                raise InputError(_refusal(present))
            time.sleep(_POLL_S)
        (folder / OWNER).unlink(missing_ok=True)
        note = folder / f"owner-{owner.token}.json"
        note.write_text(json.dumps(content, indent=1) + "\n")
        try:
            os.link(note, folder / OWNER)
        except FileExistsError:
            present = read_owner(folder)
            raise InputError(_refusal(present) if present else f"{folder}: taken by another job just now") from None
        finally:
            note.unlink()
    return owner


def _refusal(owner: Owner) -> str:
    return (
        f"{owner.folder}: found another writer, process {owner.pid} on {owner.host} ({owner.label}), heartbeat "
        f"{owner.heartbeat_age_s():.0f} s ago; accepted is one writer per folder: wait for it or stop it"
    )


def release(owner: Owner) -> None:
    """Give the folder up.

    Raises
    ------
    InputError
        If the folder was taken over meanwhile.
    """
    present = read_owner(owner.folder)
    if present is None or present.token != owner.token:
        raise InputError(f"{owner.folder}: this job's ownership was taken over while it ran; run it again")
    (owner.folder / OWNER).unlink()


def live_owners(run_folder: Path) -> list[Owner]:
    """Jobs that write into shard folders of a run (``results/<run>``) now; see `Owner.orphan`."""
    found = []
    for path in sorted((Path(run_folder) / ".work").rglob(OWNER)):
        owner = read_owner(path.parent)
        if owner is not None and owner.state() != "gone":
            found.append(owner)
    return found


def stop_owner(owner: Owner, patience_s: float = 10.0) -> None:
    """End all processes of a job on this host: ask first, then kill; its finished cases stay.

    Raises
    ------
    InputError
        If the job runs on another host.
    """
    remote = sorted({process.host for process in owner.processes if not process.local})
    if remote:
        raise InputError(
            f"{owner.folder}: its writer runs on {', '.join(remote)} and cannot be stopped from {identify().host}; "
            f"cancel that job there"
        )
    everyone = [*([owner.launcher] if owner.launcher else []), *owner.processes]
    for number, patience in ((signal.SIGTERM, patience_s), (signal.SIGKILL, patience_s)):
        for process in everyone:
            if process.alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)
        deadline = time.monotonic() + patience
        while any(process.alive() for process in everyone) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    left = [process.pid for process in everyone if process.alive()]
    if left:
        raise InputError(f"{owner.folder}: processes {left} do not end; stop them by hand")
