"""Real cases of finished small runs computed again: the same bits, alone where they may be, and after a failure."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from conftest import Project


def replayed(project: Project, run: str, study: str, count: int) -> tuple[int, dict[str, str]]:
    """Exit status of the audit, and the messages about replayed cases by kind."""
    process = project.run("understudy", "audit", f"results/{run}", "--replay", str(count), "--seed", "1", "--json")
    verdict = json.loads(process.stdout)
    found = {entry["kind"]: entry["message"] for entry in verdict["findings"] if "replay" in entry["kind"]}
    assert all(
        entry["file"] == f"{study}/ground_truth.h5" for entry in verdict["findings"] if "replay" in entry["kind"]
    )
    return process.returncode, found


def test_axons_come_out_equal_in_any_company(finished: Project) -> None:
    """They were computed in blocks of 16 and come out of blocks of one."""
    status, found = replayed(finished, "tiny", "axon", 3)
    assert status == 0 and found.keys() == {"replayed"}
    assert "3 cases computed again (3 drawn with seed 1): 3 equal bit for bit" in found["replayed"]


def test_an_edited_target_is_found(project: Project) -> None:
    with h5py.File(project.folder / "results/tiny/axon/ground_truth.h5", "a") as file:
        file["targets"][:, 1] = np.nextafter(file["targets"][:, 1], 9)
    status, found = replayed(project, "tiny", "axon", 1)
    assert status == 1 and "replay_mismatch" in found


def test_a_case_of_a_stage_that_did_not_end(project: Project) -> None:
    folder = project.folder / "results/tiny/axon"
    for name in ("ground_truth.h5", "ground_truth.h5.prov.json"):
        (folder / name).unlink()
    process = project.run("understudy", "rerun-case", "results/tiny", "axon", "5")
    assert process.returncode == 0, process.stderr
    assert "voxel: " in process.stdout and "does not hold the case yet" in process.stdout
    refused = project.run("understudy", "rerun-case", "results/tiny", "axon", "100000")
    assert refused.returncode == 2 and refused.stderr.startswith("error: case: found 100000")


@pytest.mark.slow
def test_thresholds_come_out_equal_with_their_block(finished_tms: Project) -> None:
    status, found = replayed(finished_tms, "tiny_tms", "tms", 2)
    assert status == 0 and found.keys() == {"replayed"}
    alone = finished_tms.run("understudy", "rerun-case", "results/tiny_tms", "tms", "3")
    assert alone.returncode == 0 and "threshold_V_per_m = " in alone.stdout
    block = finished_tms.run("understudy", "rerun-case", "results/tiny_tms", "tms", "3", "--block")
    assert "equal to the stored case bit for bit" in block.stdout, block.stdout + block.stderr


@pytest.mark.slow
def test_moments_come_out_equal_with_the_courses_drawn_with_theirs(finished_calcium: Project) -> None:
    status, found = replayed(finished_calcium, "tiny_calcium", "calcium", 2)
    assert status == 0 and found.keys() == {"replayed"}, found
    alone = finished_calcium.run("understudy", "rerun-case", "results/tiny_calcium", "calcium", "7", "--block")
    assert "equal to the stored case bit for bit" in alone.stdout, alone.stdout + alone.stderr
