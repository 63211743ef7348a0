"""The study itself, killed and resumed: the same files bit for bit, nothing left over."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import Project

# What must not depend on whether a run was disturbed: everything but times.
DETERMINISTIC = (
    "fibre_orientation.h5",
    "fibre_strain.h5",
    "samples.h5",
    "ground_truth.h5",
    "noise_floor.json",
    "surrogate/models.h5",
    "surrogate/cross_validation.h5",
    "surrogate/learning_curve.json",
    "surrogate/predictions.h5",
    "surrogate/metrics.json",
)


# All of these are made on the way to it; what only reads them is left alone.
TARGET = "results/tiny/axon/surrogate/predictions.h5"


def contents(project: Project) -> dict[str, str]:
    folder = project.folder / "results/tiny/axon"
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in DETERMINISTIC}


def start(project: Project, *arguments: str) -> subprocess.Popen:
    """Snakemake in the background, in a session of its own so that only it is hit."""
    snakemake = str(Path(sys.executable).parent / "snakemake")
    return subprocess.Popen(
        [snakemake, "--cores", "2", TARGET, "--configfile", "tests/tiny.yaml", *arguments],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process: subprocess.Popen, victim: str) -> bool:
    """SIGKILL Snakemake (its jobs live on as orphans), or the launcher, or a rank; False if there is none now."""
    if victim == "snakemake":
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return True
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            words = " ".join(child.cmdline())
        except psutil.Error:  # it ended while we looked
            continue
        launcher = "mpiexec" in words and "bash" not in words
        rank = "scripts/simulate_" in words and "mpiexec" not in words and "bash" not in words
        if (launcher and victim == "launcher") or (rank and victim == "rank"):
            child.kill()
            process.wait(timeout=120)
            return True
    return False


@pytest.mark.parametrize(
    "victim",
    ["snakemake", pytest.param("launcher", marks=pytest.mark.slow), pytest.param("rank", marks=pytest.mark.slow)],
)
def test_killed_study_resumes_to_the_same_files(project: Project, victim: str) -> None:
    before = contents(project)
    generator = np.random.default_rng(list(victim.encode()))
    process = start(project, "-R", "simulate_impacts")
    hit = False
    # The first moment is random; after it, the first at which there is such a process.
    time.sleep(float(generator.uniform(4.0, 9.0)))
    while not hit and process.poll() is None:
        hit = kill(process, victim)
        time.sleep(0.02)
    assert hit
    resumed = project.run("understudy", "resume", "results/tiny", timeout=500)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert contents(project) == before
    assert project.planned(TARGET) == set()
    audited = project.run("understudy", "audit", "results/tiny")
    assert audited.returncode == 0, audited.stdout
