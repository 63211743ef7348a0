"""GPU, memory and disk against what the configuration needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from understudy.doctor.finding import Finding
from understudy.doctor.programs import cuda_build
from understudy.planning.costs import Estimate, disk_needed_MB

_SPARE = 1.2
_TEMPORARY_MB = 500
_CUDA = "make LOCK=envs/requirements-cuda.lock setup"


def gpu(device: str) -> Finding:
    """The GPU that the configuration's device needs; torch is asked only where one is demanded."""
    check = "GPU"
    names: list[str] = []
    if shutil.which("nvidia-smi") is not None:
        command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=30)
            names = said.stdout.strip().splitlines() if said.returncode == 0 else []
        except (OSError, subprocess.TimeoutExpired):
            names = []
    words = "; ".join(names) if names else "found none"
    if device == "cpu":
        return Finding(check, "note", f"{words}; execution.device is cpu")
    if device == "auto":
        if not names:
            return Finding(check, "note", f"{words}; networks run on the CPU, as calibrated")
        if not cuda_build():
            return Finding(check, "warning", f"{words}, but torch is a CPU build and will not use it", _CUDA)
        return Finding(check, "good", f"{words}; networks will use it")
    if not names:
        return Finding(
            check,
            "problem",
            f"{words}, but execution.device is cuda",
            "set execution.device to auto or cpu; on a cluster's login node this is as it should be",
        )
    if not cuda_build():
        return Finding(check, "problem", f"{words}, but torch is a CPU build and execution.device is cuda", _CUDA)
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    if subprocess.run([sys.executable, "-c", code], capture_output=True).returncode != 0:
        return Finding(
            check, "problem", f"{words}, but torch sees no GPU", "compare driver and CUDA of torch: nvidia-smi"
        )
    return Finding(check, "good", f"{words}; torch sees it")


def memory(estimates: Mapping[str, Estimate], ranks: int) -> Finding:
    """The largest job's memory against this machine's."""
    total_MB = psutil.virtual_memory().total / 1e6
    free_MB = psutil.virtual_memory().available / 1e6

    def needed(estimate: Estimate) -> float:
        return estimate.memory_MB * estimate.ranks(ranks)

    largest = max(estimates.values(), key=needed)
    words = f"{free_MB / 1e3:.1f} of {total_MB / 1e3:.1f} GB free; {largest.name} takes about "
    words += f"{needed(largest) / 1e3:.1f} GB"
    if needed(largest) > total_MB:
        return Finding("memory", "problem", words, "lower execution.ranks, or run on a larger machine")
    if needed(largest) > free_MB:
        return Finding("memory", "warning", words, "end other programs, or give Snakemake --resources mem_mb=<free MB>")
    return Finding("memory", "good", words)


def disk(estimates: Mapping[str, Estimate], results: Path) -> list[Finding]:
    """Free space where results go, against the estimate; and where temporary files go."""
    needed_MB = _SPARE * disk_needed_MB(estimates)[1]
    place = next(folder for folder in (results, *results.parents) if folder.exists())
    free_MB = shutil.disk_usage(place).free / 1e6
    words = f"{free_MB / 1e3:.1f} GB free at {place}; the run takes about {needed_MB / 1e3:.2f} GB with its shards"
    found = [
        Finding("disk", "good", words)
        if free_MB >= needed_MB
        else Finding("disk", "problem", words, "free space, or link results/ to a larger file system")
    ]
    temporary = Path(tempfile.gettempdir())
    temporary_MB = shutil.disk_usage(temporary).free / 1e6
    if temporary_MB < _TEMPORARY_MB:
        found.append(
            Finding(
                "disk",
                "warning",
                f"{temporary_MB:.0f} MB free at {temporary} for temporary files",
                "set TMPDIR to a folder on the node's own disk",
            )
        )
    return found
