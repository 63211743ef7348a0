"""The MPI launcher, tried with two real ranks, and the scheduler."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys

from understudy.doctor.finding import Finding

_RANKS = 2
# A launcher that waits for an allocation would wait for as long as the queue is.
_LIMIT_S = 60.0
# Ranks write at once: a line that came in two pieces would be read as none.
_PROBE = (
    "import os, socket; from mpi4py import MPI; c = MPI.COMM_WORLD; "
    "v = MPI.Get_library_version().split(chr(10))[0].strip(chr(0)).strip(); "
    "os.write(1, f'rank {c.allreduce(1)} of {c.size} on {socket.gethostname()} with {v}{chr(10)}'.encode())"
)


def mpi(launcher: str) -> Finding:
    """Start two ranks that count each other."""
    words = shlex.split(launcher)
    check = "MPI launcher"
    if not words or shutil.which(words[0], path=_path()) is None:
        return Finding(
            check,
            "problem",
            f"found no program {words[0] if words else launcher!r}",
            "name the site's launcher in execution.launcher, such as `mpiexec` or `srun --mpi=pmi2`",
        )
    command = [*words, "-n", str(_RANKS), sys.executable, "-c", _PROBE]
    environment = {**os.environ, "PATH": _path()}
    # A session of its own, so that ranks end with a launcher that hangs.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    try:
        said, complaint = process.communicate(timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Finding(
            check,
            "problem",
            f"{launcher}: two ranks did not answer within {_LIMIT_S:.0f} s",
            "under a scheduler run the doctor inside an allocation of two tasks: salloc -n 2 understudy doctor",
        )
    ranks = [line for line in said.splitlines() if line.startswith("rank ")]
    if process.returncode != 0 or not ranks:
        last = (complaint.strip() or said.strip() or "no message").splitlines()[-1]
        return Finding(
            check,
            "problem",
            f"{launcher}: ended with status {process.returncode}: {last}",
            "try the command by hand: " + shlex.join([*words, "-n", "2", "python", "-c", "from mpi4py import MPI"]),
        )
    if len(ranks) == _RANKS and all(line.startswith(f"rank {_RANKS} of {_RANKS} ") for line in ranks):
        return Finding(
            check, "good", f"{launcher} starts {_RANKS} ranks that see each other: {ranks[0].split(' with ')[1]}"
        )
    return Finding(
        check,
        "problem",
        f"{launcher}: asked for {_RANKS} ranks, got {len(ranks)} that answered, {ranks[0]!r}",
        "the launcher belongs to another MPI library than mpi4py: use the mpiexec beside this Python, or srun with the "
        "--mpi plugin of its library (srun --mpi=list)",
    )


def _path() -> str:
    """The environment's programs first, as the workflow has them."""
    return os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])


def _answer(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def scheduler(status_command: str | None) -> list[Finding]:
    """SLURM's answers, its accounting, and whether Snakemake's way to ask for a job's state works with them.

    Parameters
    ----------
    status_command : ``slurm-status-command`` of the profile; None for the plugin's own, ``sacct``.
    """
    check = "scheduler"
    if shutil.which("sbatch") is None:
        return [Finding(check, "note", "found no SLURM; jobs run on this machine")]
    nodes = _answer("sinfo", "-h", "-o", "%P %D %t")
    if nodes is None:
        return [
            Finding(
                check,
                "warning",
                "found sbatch, but sinfo gives no answer",
                "on a machine without its daemons leave out the profile; else ask the site whether SLURM is up",
            )
        ]
    found = [Finding(check, "good", f"SLURM answers: {'; '.join(nodes.split(chr(10))[:3]).strip('; ')}")]
    config = _answer("scontrol", "show", "config") or ""
    settings = dict(line.split("=", 1) for line in config.splitlines() if "=" in line)
    settings = {name.strip(): value.strip() for name, value in settings.items()}
    accounting = settings.get("AccountingStorageType", "").removeprefix("accounting_storage/")
    works = accounting not in ("", "none", "(null)") and _answer("sacct", "-n", "-X", "-o", "JobID") is not None
    asked = status_command or "sacct"
    words = f"accounting {accounting or 'unknown'}, sacct {'answers' if works else 'gives no answer'}"
    if asked == "sacct" and not works:
        found.append(
            Finding(
                "status command",
                "problem",
                f"{words}; jobs would be asked for with sacct and never be seen as finished",
                "set `slurm-status-command: squeue` in the profile",
            )
        )
        return found
    found.append(Finding("status command", "good", f"{words}; jobs are asked for with {asked}"))
    age = settings.get("MinJobAge", "").split()
    if asked == "squeue" and age and age[0].isdigit() and int(age[0]) < 120:
        found.append(
            Finding(
                "status command",
                "warning",
                f"MinJobAge is {age[0]} s: squeue forgets a job before Snakemake asks for it",
                "ask the site for MinJobAge of 120 s or more, or use sacct where there is accounting",
            )
        )
    return found
