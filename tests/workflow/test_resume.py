"""`understudy resume`: orphans of a killed Snakemake are ended, living ones respected, and the run goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from understudy.errors import InputError
from understudy.farm.processes import WORKFLOW_VARIABLE, ProcessIdentity, identify
from understudy.provenance.attempts import is_orphan, open_attempts, read_attempts
from understudy.provenance.processes import living_workflows
from understudy.provenance.resume import end_orphans, latest_run, resume

SNAKEFILE = """
rule all:
    default_target: True
    input:
        "results/small/axon/slow.txt",


rule slow:
    output:
        "results/small/axon/slow.txt",
        "results/small/axon/slow.txt.prov.json",
    shell:
        "{config[python]} scripts/slow.py"


rule after:
    input:
        "results/small/axon/slow.txt",
    output:
        "results/small/axon/after.txt",
    shell:
        "echo done > {output}"
"""

PROGRAM = """
import time
from pathlib import Path

from understudy.provenance.job import job

root = Path.cwd()
outputs = {"slow": root / "results/small/axon/slow.txt"}
with job(program="slow", inputs={}, outputs=outputs, parameters={}, root=root) as this:
    this.temporary("slow").write_text("half")
    while Path("wait").exists():
        time.sleep(0.1)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A workflow of one rule, which works for as long as a file named ``wait`` is there."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/slow.py").write_text(PROGRAM)
    config = tmp_path / "results/small/config"
    config.mkdir(parents=True)
    (config / "configuration.yaml").write_text("run: small\n")
    command = {"configfiles": [], "config": [f"python={sys.executable}"], "cores": 1, "targets": ["all"]}
    (config / "command.json").write_text(json.dumps(command))
    (tmp_path / "wait").touch()
    yield tmp_path
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()) == tmp_path
        except (psutil.Error, OSError):
            continue
        if inside and process.pid != os.getpid():
            process.kill()


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def start(project: Path) -> subprocess.Popen:
    """Snakemake, as soon as its job has begun."""
    arguments = ["--cores", "1", "--config", f"python={sys.executable}"]
    snakemake = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: len(open_attempts(project / "results/small/.work")) == 1)
    return snakemake


@pytest.mark.parametrize(
    ("configuration", "words"),
    [("x", "found no configuration of a run"), ("run: other\n", "run: found 'other'; accepted is 'small'")],
)
def test_without_its_own_configuration_nothing_is_started(project: Path, configuration: str, words: str) -> None:
    (project / "results/small/config/configuration.yaml").write_text(configuration)
    with pytest.raises(InputError, match=words):
        resume(project / "results/small", folder=project)


def test_killed_run_goes_on(project: Path) -> None:
    run_folder = project / "results/small"
    snakemake = start(project)
    (attempt,) = open_attempts(run_folder / ".work")
    assert attempt["workflow"]["pid"] == snakemake.pid and not is_orphan(attempt)
    with pytest.raises(InputError, match=f"Snakemake .*{snakemake.pid}"):
        resume(run_folder, folder=project)
    with pytest.raises(InputError, match=f"started by Snakemake {snakemake.pid}"):
        end_orphans(run_folder, print)

    os.kill(snakemake.pid, signal.SIGKILL)
    snakemake.wait()
    (orphan,) = open_attempts(run_folder / ".work")
    assert is_orphan(orphan) and living_workflows(project) == []
    assert any((project / ".snakemake/locks").iterdir())

    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if line == "unlocking the folder":  # the orphan is gone: the next attempt may finish
            (project / "wait").unlink()

    assert resume(run_folder, ["--quiet", "all"], folder=project, tell=tell) == 0
    assert any(f"ending process {orphan['process']['pid']}" in line for line in told)
    assert not (project / "wait").exists()
    assert not psutil.pid_exists(orphan["process"]["pid"])
    assert (run_folder / "axon/slow.txt").exists() and (run_folder / "axon/slow.txt.prov.json").exists()
    log = (run_folder / ".work/attempts/slow.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in log] == ["start", "interrupted", "start", "end"]
    assert [path.name for path in (run_folder / "axon").iterdir() if "partial" in path.name] == []


def test_a_program_that_had_not_begun_its_job_is_ended_too(project: Path) -> None:
    """Nothing is noted of it yet, and it would begin beside the resumed one."""
    with subprocess.Popen(["sleep", "60"]) as gone:
        workflow = identify(gone.pid)
        gone.kill()

    def begin(file: str, snakemake: ProcessIdentity) -> subprocess.Popen:
        said = f"{snakemake.host} {snakemake.pid} {snakemake.started}"
        command = [sys.executable, "-c", "import time; time.sleep(60)", file]
        return subprocess.Popen(command, cwd=project, env={**os.environ, WORKFLOW_VARIABLE: said})

    left, other, lives = (
        begin("results/small/axon/slow.txt", workflow),
        begin("results/large/axon/slow.txt", workflow),
        begin("results/small/axon/slow.txt", identify()),
    )
    told: list[str] = []
    assert end_orphans(project / "results/small", told.append) == 1
    assert f"ending process {left.pid}" in told[0]
    assert not psutil.pid_exists(left.pid) and other.poll() is None and lives.poll() is None


def test_job_started_by_hand_is_not_ended(project: Path) -> None:
    run_folder = project / "results/small"
    program = subprocess.Popen([sys.executable, "scripts/slow.py"], cwd=project)
    until(lambda: len(open_attempts(run_folder / ".work")) == 1)
    with pytest.raises(InputError, match="started by hand"):
        resume(run_folder, folder=project)
    assert program.poll() is None
    (project / "wait").unlink()
    assert program.wait(timeout=30) == 0


def finish(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    return subprocess.run(
        [*words, "--config", f"python={sys.executable}"], cwd=project, capture_output=True, text=True, timeout=60
    )


def test_a_second_snakemake_is_refused_and_the_first_goes_on(project: Path) -> None:
    first = start(project)
    second = finish(project)
    assert second.returncode != 0 and "cannot be locked" in second.stderr
    with pytest.raises(InputError, match=f"Snakemake .*{first.pid}"):
        resume(project / "results/small", folder=project)
    (project / "wait").unlink()
    assert first.wait(timeout=60) == 0
    assert [line["event"] for line in read_attempts(project / "results/small/.work")] == ["start", "end"]


def test_a_clock_set_back_stops_a_run_and_resume_mends_it(project: Path) -> None:
    """What was made before the clock was set back by an hour bears times that are yet to come."""
    (project / "wait").unlink()
    assert finish(project).returncode == 0
    results = project / "results/small"
    later = time.time() + 3600
    for path in results.rglob("*"):
        os.utime(path, (later, later))
    stopped = finish(project, "results/small/axon/after.txt")
    assert stopped.returncode != 0 and "older modification time" in stopped.stdout + stopped.stderr
    told: list[str] = []
    assert resume(results, ["--quiet", "all"], folder=project, tell=told.append) == 0
    assert any("the clock was set back" in line for line in told)
    assert finish(project, "results/small/axon/after.txt").returncode == 0
    assert (results / "axon/after.txt").exists()
    assert [line["event"] for line in read_attempts(results / ".work")] == ["start", "end"], "nothing ran twice"
    told.clear()
    resume(results, ["--quiet", "all"], folder=project, tell=told.append)
    assert not any("clock" in line for line in told)


def test_read_only_results_are_named_and_stay(project: Path) -> None:
    """A file system mounted read-only: permissions alone do not stop root."""
    (project / "wait").unlink()
    assert finish(project).returncode == 0
    results = project / "results"
    command = [sys.executable, str(project / "scripts/slow.py")]
    inside = 'mount --bind results results && mount -o remount,bind,ro results && exec "$@"'
    isolated = ["unshare", "--mount", "sh", "-c", inside, "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*isolated, "true"], cwd=project, capture_output=True).returncode
    ):
        pytest.skip("a read-only mount needs unshare and the right to mount")
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    (results / "small/axon/slow.txt").unlink()
    before.pop(results / "small/axon/slow.txt")
    refused = subprocess.run([*isolated, *command], cwd=project, capture_output=True, text=True)
    assert refused.returncode != 0 and "cannot be written (Read-only file system)" in refused.stderr
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")}.keys() == before.keys()


def test_latest_run_is_found(project: Path) -> None:
    other = project / "results/other/config"
    other.mkdir(parents=True)
    (other / "command.json").write_text("{}")
    os.utime(other / "command.json", (1, 1))
    assert latest_run(project / "results") == project / "results/small"
    with pytest.raises(InputError, match="found no run"):
        latest_run(project / "scripts")
