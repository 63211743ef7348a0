"""Living processes: the Snakemakes that work in a folder, and the end of a job that outlived its own."""

from __future__ import annotations

from pathlib import Path

import psutil

from understudy.farm.processes import ProcessIdentity, identify, is_snakemake, marked_workflow


def living_workflows(folder: Path) -> list[int]:
    """Process numbers of the Snakemakes that work in ``folder``, other than the caller and those above it."""
    this = psutil.Process()
    own = {this.pid, *(parent.pid for parent in this.parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in own or not is_snakemake(process):
            continue
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).resolve() == folder.resolve():
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return sorted(found)


def left_behind(run_folder: Path) -> list[ProcessIdentity]:
    """Processes of a run on this host whose Snakemake is gone, those too that have only just been started: a program
    imports for seconds before its job is noted anywhere."""
    run_folder = run_folder.resolve()
    folder = run_folder.parents[1]
    files = f"{run_folder.relative_to(folder).as_posix()}/"
    found = []
    for process in psutil.process_iter():
        try:
            workflow = marked_workflow(process.environ())
            if workflow is None or workflow.alive() or Path(process.cwd()).resolve() != folder:
                continue
            if any(files in word for word in process.cmdline()):
                found.append(identify(process.pid))
        except (psutil.Error, OSError):
            continue
    return found


def stop(identity: ProcessIdentity, patience_s: float = 10.0) -> bool:
    """End a process of this host and its children, first asked, then killed; True when all are gone.

    Parameters
    ----------
    identity : the process.
    patience_s : how long to wait after SIGTERM, and again after SIGKILL, in s.
    """
    if not identity.alive():
        return True
    try:
        process = psutil.Process(identity.pid)
        processes = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return True
    for member in processes:
        try:
            member.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for member in alive:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    return not psutil.wait_procs(alive, timeout=patience_s)[1]
