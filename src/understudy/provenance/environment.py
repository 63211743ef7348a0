"""What a job ran on and in: distributions, interpreter, libraries, threads, devices, scheduler, repository state."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from understudy.provenance.fingerprint import REPOSITORY
from understudy.provenance.run_folder import file_sha256, portable

_LOCKS = ("envs/requirements.lock", "envs/requirements-cuda.lock")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "HDF5_USE_FILE_LOCKING")
_SLURM = (
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_NUM_NODES",
    "SLURM_NTASKS",
    "SLURM_CPUS_PER_TASK",
)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        run = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout if run.returncode == 0 else None


def repository_state(root: Path = REPOSITORY) -> dict[str, Any]:
    """``commit`` (null outside git) and ``dirty``: whether code, rules or pins differ from it (null outside git)."""
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", "src", "scripts", "rules", "Snakefile", "envs")
    return {
        "commit": commit.strip() if commit else None,
        "dirty": bool(changes.strip()) if changes is not None else None,
    }


def _distributions() -> dict[str, str]:
    found = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found[name] = distribution.version
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _linear_algebra() -> dict[str, Any] | None:
    """The BLAS that NumPy was built with, where the program uses NumPy."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    built = numpy.show_config(mode="dicts").get("Build Dependencies", {})
    return {
        kind: {key: built[kind].get(key) for key in ("name", "version", "openblas configuration") if key in built[kind]}
        for kind in ("blas", "lapack")
        if kind in built
    }


def _message_passing() -> dict[str, Any] | None:
    """The MPI library of a program that started it."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not mpi.Is_initialized() or mpi.Is_finalized():
        return None
    return {
        "library": mpi.Get_library_version().split("\0")[0].splitlines()[0].strip(),
        "size": mpi.COMM_WORLD.Get_size(),
    }


def _torch() -> dict[str, Any] | None:
    """Devices and determinism flags of a program that uses torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    state: dict[str, Any] = {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "devices": [],
    }
    # is_initialized: asking an unused GPU for its name would start a context on it.
    if torch.cuda.is_initialized():
        state["devices"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return state


def processor_name() -> str:
    """The kind of processor, as records name it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def describe_environment(root: Path = REPOSITORY) -> dict[str, Any]:
    """The environment of this process; parts that the program does not use (MPI, torch, SLURM) are null or empty."""
    return {
        "locks": {name: file_sha256(root / name) for name in _LOCKS if (root / name).is_file()},
        "distributions": _distributions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "blas": _linear_algebra(),
        "mpi": _message_passing(),
        "torch": _torch(),
        "threads": {name: os.environ[name] for name in _THREADS if name in os.environ},
        "slurm": {name: os.environ[name] for name in _SLURM if name in os.environ},
    }


def command_line(run_folder: Path) -> list[str]:
    """The command line with portable paths, so that a record tells no host's folders."""
    command = []
    for position, argument in enumerate(sys.argv):
        option, separator, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        path = Path(value)
        is_path = position == 0 or (value and "\n" not in value and ("/" in value or path.exists()))
        if is_path and value and not value.startswith("sha256:"):
            recorded = portable(path, run_folder)
            inside = path.resolve().is_relative_to(run_folder)
            value = f"results:{recorded}" if inside else recorded
        command.append(f"{option}{separator}{value}")
    return ["python", *command]
