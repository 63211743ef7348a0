"""Who a process is, whether it still lives, and which launcher and workflow stand above it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

_LAUNCHERS = (
    "mpiexec",
    "mpiexec.hydra",
    "mpiexec.gforker",
    "mpirun",
    "hydra_pmi_proxy",
    "prterun",
    "prted",
    "orterun",
    "orted",
    "srun",
    "slurmstepd",
)


WORKFLOW_VARIABLE = "UNDERSTUDY_WORKFLOW"
"""Where Snakemake tells its jobs who it is: it may be gone before a job has begun to look."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that cannot be mistaken for a later one with the same number.

    Attributes
    ----------
    host : host name.
    pid : process number on that host.
    started : start mark: boot identity and start tick, equal for one process only.
    """

    host: str
    pid: int
    started: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def local(self) -> bool:
        """On this host."""
        return self.host == socket.gethostname()

    def alive(self) -> bool:
        """Running now; only meaningful on its own host. A zombie is dead."""
        return _start_mark(self.pid) == self.started


def identify(pid: int | None = None) -> ProcessIdentity:
    """The identity of a living process on this host, by default the calling one."""
    pid = os.getpid() if pid is None else pid
    mark = _start_mark(pid)
    if mark is None:
        raise ProcessLookupError(f"process {pid} is gone")
    return ProcessIdentity(socket.gethostname(), pid, mark)


def _start_mark(pid: int) -> str | None:
    """Start mark of a living process, None for one that is gone or a zombie."""
    if sys.platform == "linux":
        # Ticks since boot: unlike a time of day they do not move when the clock is set.
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        return None if fields[0] in "ZX" else f"{boot}-{fields[19]}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def _ancestors(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).parents()
    except psutil.Error:
        return []


def launcher_of(pid: int) -> ProcessIdentity | None:
    """The MPI launcher above a process: the highest of an unbroken line of known launchers, None without one."""
    found = None
    for parent in _ancestors(pid):
        try:
            if parent.name() in _LAUNCHERS:
                found = identify(parent.pid)
            elif found is not None:
                break
        except (psutil.Error, ProcessLookupError):
            break
    return found


def is_snakemake(process: psutil.Process) -> bool:
    """Whether a process is Snakemake itself, started by its name or by ``python -m snakemake``."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    # Options of Python and the script's path come first; a target or a file named snakemake does not count.
    head = [os.path.basename(word) for word in command[:2]]
    return "snakemake" in head or any(command[i : i + 2] == ["-m", "snakemake"] for i in range(1, min(4, len(command))))


def workflow_of(pid: int) -> ProcessIdentity | None:
    """The nearest living Snakemake above a process, None without one."""
    for parent in _ancestors(pid):
        if is_snakemake(parent):
            try:
                return identify(parent.pid)
            except ProcessLookupError:
                continue
    return None


def mark_workflow() -> None:
    """Leave the identity of this process, a Snakemake, to all that it starts; one above it stays what it is."""
    found = identify()
    os.environ.setdefault(WORKFLOW_VARIABLE, f"{found.host} {found.pid} {found.started}")


def own_workflow() -> ProcessIdentity | None:
    """The Snakemake that started this process: the nearest living one above it, or one of this host that has gone
    meanwhile; None for a program that was started by hand."""
    return workflow_of(os.getpid()) or marked_workflow(os.environ)


def marked_workflow(environment: Mapping[str, str]) -> ProcessIdentity | None:
    """The Snakemake of this host that `mark_workflow` has left in a process's environment, living or gone; None without
    one."""
    words = environment.get(WORKFLOW_VARIABLE, "").split()
    if len(words) != 3 or not words[1].isdigit():
        return None
    found = ProcessIdentity(words[0], int(words[1]), words[2])
    return found if found.local else None
