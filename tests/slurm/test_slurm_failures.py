"""Jobs that go wrong: ended by SLURM before they are done, left with a dead rank, started or submitted wrongly."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from cluster_run import PROFILE, fill_in, job_numbers, on_cluster, running_node, sbatch_lines, submitted
from conftest import Project, copy_project
from one_node import PARTITION, OneNode, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

CONFIGURATION = ("--configfile", "tests/tiny_calcium.yaml", "tests/slurm/long_courses.yaml")
COURSES = "results/long_courses/calcium/courses.h5"
RESULTS = ("courses.h5", "ground_truth.h5", "noise_floor.json")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    with running_node(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def results(project: Project) -> dict[str, bytes]:
    return {name: (project.folder / "results/long_courses/calcium" / name).read_bytes() for name in RESULTS}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The stage on this machine, without a scheduler."""
    project = copy_project(tmp_path_factory.mktemp("undisturbed") / "project")
    done = project.run("snakemake", "--cores", "2", COURSES, *CONFIGURATION, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return results(project)


def finished_cases(project: Project) -> int:
    """Cases whose result is whole in a shard now."""
    from understudy.farm.frames import scan_frames

    shards = (project.folder / "results/long_courses/.work/simulate_courses").rglob("shard-*.bin")
    return sum(len(scan_frames(path)[0]) for path in shards)


def wait_for_cases(project: Project, process: subprocess.Popen, least: int) -> None:
    wait_until(lambda: finished_cases(project) >= least or process.poll() is not None, f"{least} cases", 300)
    assert process.poll() is None


def reused(project: Project) -> tuple[int, int]:
    """Cases of the last attempt that were found finished, and all."""
    log = (project.folder / "results/long_courses/logs/calcium.simulate_courses.log").read_text()
    done, again = re.findall(r"\[courses\] (\d+) cases done .*?(\d+) reused", log)[-1]
    return int(again), int(done)


def test_a_cancelled_job_resumes_from_its_shards(
    node: OneNode, undisturbed: dict[str, bytes], empty_project: Project, tmp_path: Path
) -> None:
    fill_in(empty_project, ranks=2)
    log = tmp_path / "log"
    with submitted(empty_project, COURSES, *CONFIGURATION, log=log) as process:
        wait_for_cases(empty_project, process, 3)
        node.command("scancel", job_numbers(log.read_text())[-1])
        assert process.wait(timeout=300) != 0
    assert "SLURM status is: 'CANCELLED'" in log.read_text()
    finished = finished_cases(empty_project)
    assert finished >= 3
    # The way a user goes on: the command knows configuration, target and profile.
    resumed = empty_project.run("understudy", "resume", "results/long_courses", timeout=600)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "--workflow-profile profiles/slurm" in resumed.stdout
    assert reused(empty_project)[0] == finished
    assert results(empty_project) == undisturbed


def ranks(number: str) -> list[psutil.Process]:
    """Processes of a job that simulate courses, by rank."""
    found = {
        process.info["environ"].get("PMI_RANK"): process
        for process in psutil.process_iter(["cmdline", "environ"])
        if "scripts/simulate_courses.py" in " ".join(process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("SLURM_JOB_ID") == number
    }
    return [process for rank, process in sorted(found.items(), key=lambda item: str(item[0])) if rank is not None]


def end_by_time(node: OneNode, number: str) -> None:
    # SLURM looks at limits twice a minute: the job waits for that, and goes on to hear that its time is over.
    for process in ranks(number):
        process.suspend()
    # An operator's hand: a rule asks for whole minutes.
    node.command("scontrol", "update", f"JobId={number}", "TimeLimit=0:01")


def kill_a_rank(node: OneNode, number: str) -> None:
    _, second = ranks(number)
    second.kill()


@pytest.mark.parametrize(("end", "state"), [(end_by_time, "TIMEOUT"), (kill_a_rank, "FAILED")])
def test_a_job_that_ends_too_soon_is_tried_again_and_resumes(
    node: OneNode,
    undisturbed: dict[str, bytes],
    empty_project: Project,
    tmp_path: Path,
    end: Callable[[OneNode, str], None],
    state: str,
) -> None:
    fill_in(empty_project, ranks=2, retries=1)
    log = tmp_path / "log"
    with submitted(empty_project, COURSES, *CONFIGURATION, log=log) as process:
        wait_for_cases(empty_project, process, 3)
        end(node, job_numbers(log.read_text())[-1])
        assert process.wait(timeout=600) == 0
    first, second = job_numbers(log.read_text())
    assert node.job(first)["JobState"] == state and node.job(second)["JobState"] == "COMPLETED"
    assert reused(empty_project)[0] >= 3
    assert results(empty_project) == undisturbed
    (tried, again) = sbatch_lines(log.read_text())["simulate_courses"]
    for option in ("-t", "--mem-per-cpu"):
        assert int(again[again.index(option) + 1]) == 2 * int(tried[tried.index(option) + 1]), option


def test_the_doctor_in_an_allocation_starts_two_ranks(node: OneNode, empty_project: Project) -> None:
    fill_in(empty_project, ranks=2)
    doctor = [str(Path(sys.executable).parent / "understudy"), "doctor", "--profile", PROFILE[1]]
    done = subprocess.run(
        ["salloc", "-n", "2", *doctor],
        cwd=empty_project.folder,
        env=empty_project.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = " ".join(done.stdout.split())
    for line in ("MPI launcher srun --mpi=pmi2 --kill-on-bad-exit=1 starts 2 ranks", "scheduler SLURM answers"):
        assert f"ok {line}" in said, done.stdout + done.stderr
    assert "jobs are asked for with squeue" in said


def test_a_wrong_mpi_is_caught_before_any_physics(node: OneNode, empty_project: Project, tmp_path: Path) -> None:
    fill_in(empty_project, ranks=2, launcher="srun --mpi=none --kill-on-bad-exit=1")
    status, output = on_cluster(empty_project, COURSES, *CONFIGURATION, log=tmp_path / "log")
    assert status != 0
    assert "--ranks: asked for 2 ranks, the launcher started a communicator of size 1" in output
    assert "srun with the --mpi plugin of this library" in output
    assert not list((empty_project.folder / "results/long_courses/.work").rglob("shard*"))


def test_a_failing_job_is_reported_with_its_log(node: OneNode, empty_project: Project, tmp_path: Path) -> None:
    fill_in(empty_project, ranks=2)
    program = empty_project.folder / "scripts/simulate_courses.py"
    first = "        units = "
    text = program.read_text()
    assert text.count(first) == 1
    program.write_text(text.replace(first, f'        raise RuntimeError("no calcium today")\n{first}'))
    status, output = on_cluster(empty_project, COURSES, *CONFIGURATION, log=tmp_path / "log")
    assert status != 0
    assert "RuntimeError: no calcium today" in output
    assert "results/long_courses/logs/calcium.simulate_courses.log" in output
    (number,) = job_numbers(output)
    assert f"SLURM-job '{number}' failed, SLURM status is: 'FAILED'" in output
    assert (empty_project.folder / f".snakemake/slurm_logs/rule_simulate_courses/{number}.log").exists()


def test_a_pretend_gpu_is_scheduled_and_its_absence_told(node: OneNode, empty_project: Project, tmp_path: Path) -> None:
    fill_in(empty_project, ranks=2, device="cuda", gpu_type="fake", gpu_partition=PARTITION)
    models = "results/tiny_calcium/calcium/surrogate/models.h5"
    status, output = on_cluster(empty_project, models, "--configfile", "tests/tiny_calcium.yaml", log=tmp_path / "log")
    lines = sbatch_lines(output)
    (physics,), (words,) = lines["simulate_courses"], lines["train_surrogate"]
    assert "--gpus=fake:1" in words and not any(word.startswith("--ntasks=") for word in words)
    assert not any(word.startswith(("--gpus", "--gres")) for word in physics)
    job = node.job(job_numbers(output)[-1])
    assert job["TresPerJob"] == "gres:gpu:fake:1" and job["NodeList"] != "(null)"
    assert status != 0 and "device: found cuda, but torch" in output and "sees no GPU" in output


def test_arrays_that_would_go_wrong_are_refused(node: OneNode, empty_project: Project, tmp_path: Path) -> None:
    fill_in(empty_project, ranks=2)
    status, output = on_cluster(
        empty_project, COURSES, *CONFIGURATION, "--slurm-array-jobs", "simulate_variant", log=tmp_path / "log"
    )
    assert status != 0 and not job_numbers(output)
    assert "slurm-array-jobs: found simulate_variant; accepted is to leave it out" in output
