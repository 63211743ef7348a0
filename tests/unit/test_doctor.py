"""The doctor: each thing that can be wrong is found, with advice, and the exit status tells."""

from __future__ import annotations

import json
import os
import stat
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import psutil
import pytest

from understudy.cli import main
from understudy.doctor import folders, launcher, programs, resources
from understudy.doctor.finding import Finding, findings_text
from understudy.planning.costs import Estimate
from understudy.planning.work import Work
from understudy.provenance.fingerprint import REPOSITORY


def program(folder: Path, name: str, text: str) -> Path:
    """An executable shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def programs_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose programs are found before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def job(memory_MB: float = 100.0, disk_MB: float = 1.0) -> dict[str, Estimate]:
    return {"axon.rule": Estimate("axon", Work("rule", farmed={}), 1.0, 1.0, 1.0, memory_MB, disk_MB)}


def test_this_python_and_its_packages_are_those_of_the_lock() -> None:
    assert programs.python().state == "good"
    assert programs.packages(REPOSITORY).state == "good"


def test_another_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    found = programs.python()
    assert found.state == "problem" and "PYTHON=" in found.advice


def test_packages_that_differ_from_the_lock_are_named(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    lock = tmp_path / "envs" / "requirements.lock"
    lock.write_text(
        "# pins\nnumpy==0.0.1\nno-such-package==1.0\npsutil==" + psutil.__version__ + " ; python_version>'3'\n"
    )
    found = programs.packages(tmp_path)
    assert found.state == "problem" and found.found.startswith("2 of 3 packages differ")
    assert "numpy" in found.found and "no-such-package absent" in found.found and "make LOCK=" in found.advice
    lock.unlink()
    assert programs.packages(tmp_path).state == "warning"


def test_a_missing_or_broken_compiler_is_a_problem(programs_first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert programs.compiler().state == "good"
    program(programs_first, "g++", "echo cannot find cc1plus >&2; exit 1")
    found = programs.compiler()
    assert found.state == "problem" and "cannot find cc1plus" in found.found
    monkeypatch.setenv("PATH", str(programs_first / "nothing"))
    assert "no gcc and no g++" in programs.compiler().found


def test_the_embedded_launcher_starts_two_ranks() -> None:
    found = launcher.mpi("mpiexec")
    assert found.state == "good", found
    assert "MPICH" in found.found


def test_a_launcher_of_another_mpi_is_found(programs_first: Path) -> None:
    """It starts as many programs as ranks were asked for, each alone."""
    program(programs_first, "strange", 'shift 2; "$@"; "$@"')
    found = launcher.mpi("strange")
    assert found.state == "problem"
    assert "asked for 2 ranks, got 2 that answered, 'rank 1 of 1" in found.found and "--mpi" in found.advice


def test_a_launcher_that_fails_hangs_or_is_absent_is_found(
    programs_first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs_first, "failing", "echo no daemon >&2; exit 3")
    assert "status 3: no daemon" in launcher.mpi("failing").found
    program(programs_first, "waiting", "sleep 30")
    monkeypatch.setattr(launcher, "_LIMIT_S", 0.3)
    assert "did not answer" in launcher.mpi("waiting").found
    assert "found no program 'nowhere'" in launcher.mpi("nowhere --mpi=x").found


def slurm(folder: Path, accounting: str, sacct: str, age: int = 300) -> None:
    program(folder, "sbatch", "exit 0")
    program(folder, "sinfo", "echo 'debug* 1 idle'")
    program(
        folder,
        "scontrol",
        f"echo 'AccountingStorageType   = accounting_storage/{accounting}'; echo 'MinJobAge = {age} sec'",
    )
    program(folder, "sacct", sacct)


def test_a_status_command_that_never_answers_is_a_problem(programs_first: Path) -> None:
    slurm(programs_first, "none", "exit 1")
    states = {finding.check: finding for finding in launcher.scheduler(None)}
    assert states["scheduler"].state == "good"
    assert states["status command"].state == "problem" and "squeue" in states["status command"].advice
    assert launcher.scheduler("squeue")[-1].state == "good"
    slurm(programs_first, "slurmdbd", "exit 0")
    assert launcher.scheduler(None)[-1].state == "good"
    slurm(programs_first, "none", "exit 1", age=2)
    assert "MinJobAge is 2 s" in launcher.scheduler("squeue")[-1].found


def test_a_silent_scheduler_is_a_warning(programs_first: Path) -> None:
    slurm(programs_first, "none", "exit 1")
    program(programs_first, "sinfo", "exit 1")
    (found,) = launcher.scheduler("squeue")
    assert found.state == "warning"


def test_a_gpu_that_is_demanded_must_be_there(programs_first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs_first, "nvidia-smi", "exit 9")
    assert resources.gpu("auto").state == "note" and resources.gpu("cpu").state == "note"
    assert resources.gpu("cuda").state == "problem"
    program(programs_first, "nvidia-smi", "echo 'Some GPU, 81920 MiB'")
    monkeypatch.setattr(resources, "cuda_build", lambda: False)
    found = resources.gpu("auto")
    assert found.state == "warning" and "Some GPU" in found.found and "requirements-cuda" in found.advice
    assert resources.gpu("cuda").state == "problem"
    monkeypatch.setattr(resources, "cuda_build", lambda: True)
    assert resources.gpu("auto").state == "good"


def test_memory_and_disk_are_judged_by_the_estimate(tmp_path: Path) -> None:
    assert resources.memory(job(), 2).state == "good"
    found = resources.memory(job(memory_MB=1e9), 2)
    assert found.state == "problem" and "axon.rule takes about 2000000.0 GB" in found.found
    assert resources.disk(job(), tmp_path / "results" / "run")[0].state == "good"
    found = resources.disk(job(disk_MB=1e12), tmp_path)[0]
    assert found.state == "problem" and "larger file system" in found.advice


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert [finding.state for finding in folders.writable(tmp_path, "run")] == ["good"]
    # A file where a folder should be: nothing can be made below it, whoever tries.
    (tmp_path / "results").write_text("")
    (found,) = folders.writable(tmp_path, "run")
    assert found.state == "problem" and "cannot be written" in found.found and found.advice


def test_a_lock_that_a_killed_snakemake_left_is_a_problem(tmp_path: Path) -> None:
    assert folders.locked(tmp_path) == []
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    assert folders.locked(tmp_path) == []
    (tmp_path / ".snakemake" / "locks" / "0.input.lock").touch()
    (found,) = folders.locked(tmp_path)
    assert found.state == "problem" and "understudy resume" in found.advice


def test_a_folder_without_the_workflow_is_a_problem(tmp_path: Path) -> None:
    (found,) = folders.workflow(tmp_path)
    assert found.state == "problem" and "found no Snakefile" in found.found
    (tmp_path / "Snakefile").touch()
    assert folders.workflow(tmp_path) == []


def test_results_without_metadata_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "results" / "copied"
    (run / "config").mkdir(parents=True)
    (run / "config" / "command.json").write_text("{}")
    names = ["audit.json", "axon/" + 60 * "long" + ".h5"]
    for name in names:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).touch()
    record = {"outputs": [{"path": name} for name in names]}
    monkeypatch.setattr(folders, "records_in", lambda folder: {folder / "x": record})
    (found,) = folders.metadata(tmp_path)
    assert found.state == "warning" and "results/copied" in found.found and "understudy audit" in found.advice
    for name in names:
        text = urlsafe_b64encode(f"results/copied/{name}".encode()).decode()
        parts = [text[at : at + 254] for at in range(0, len(text), 254)]
        path = (tmp_path / ".snakemake" / "metadata").joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [finding.state for finding in folders.metadata(tmp_path)] == ["good"]


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_a_wrong_configuration_is_a_problem_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text("axon: {sampling: {training_profile: 5}}\n")
    assert status("doctor", "wrong.yaml", "--json") == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["state"] == "problem" and "training_profile: unknown key" in found["found"]
    assert status("doctor", "--profile", "nowhere") == 2


def test_findings_end_with_their_number() -> None:
    text = findings_text([Finding("one", "good", "fine"), Finding("other", "problem", "broken", "mend it")])
    assert "ok  one    fine" in text and "-> mend it" in text and text.endswith("1 problem(s), 0 warning(s)")
