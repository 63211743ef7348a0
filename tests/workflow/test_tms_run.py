"""A finished small TMS run, used and misused as a user would."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import Project

from understudy.tms.field_volumes import write_vector_volume
from understudy.tms.fields import GridField
from understudy.tms.files import read_placements

HEADER = "name,cell,x_mm,y_mm,z_mm,nx,ny,nz,azimuth_deg\n"


@pytest.fixture(scope="module")
def field(finished_tms: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A uniform field of 100 V/m along the head's y about a patch of the run."""
    placements, _ = read_placements(finished_tms.folder / "results/tiny_tms/tms/placements.h5")
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = placements[0].centre_mm - 10
    value = np.zeros((11, 11, 11, 3), dtype=np.float32)
    value[..., 1] = 100
    path = tmp_path_factory.mktemp("field") / "field.nii.gz"
    write_vector_volume(path, GridField(value, affine))
    return path


def predict(project: Project, field: Path, positions: Path, *more: str):
    model = "results/tiny_tms/tms/surrogate/models.h5"
    output = positions.with_suffix(".out.csv")
    files = ("--field", str(field), "--input", str(positions), "--output", str(output))
    return project.run("understudy", "predict", "tms", "--model", model, *files, *more), output


def test_thresholds_in_a_users_own_field(finished_tms: Project, field: Path, tmp_path: Path) -> None:
    """A field twice as strong needs half of it: the threshold in V/m stays, its ratio to the field halves."""
    placements, _ = read_placements(finished_tms.folder / "results/tiny_tms/tms/placements.h5")
    x, y, z = placements[0].centre_mm
    positions = tmp_path / "positions.csv"
    positions.write_text(HEADER + f"here,all,{x},{y},{z},0,0,1,30\noutside,L4_LBC_1,{x + 500},{y},{z},0,0,1,0\n")
    process, output = predict(finished_tms, field, positions, "--pulse", "biphasic")
    assert process.returncode == 0, process.stderr
    rows = list(csv.DictReader(output.open()))
    assert [row["cell"] for row in rows] == ["L23_PC_1", "L4_LBC_1", "L4_LBC_1"]
    assert rows[2]["threshold_V_per_m"] == "" and rows[2]["share_outside_tissue"] == "1.000"
    for row in rows[:2]:
        low, mean, high = (float(row[f"threshold{part}_V_per_m"]) for part in ("_lower90", "", "_upper90"))
        assert 0 < low < mean < high
        assert float(row["field_V_per_m"]) == pytest.approx(100, rel=1e-5)
        assert float(row["threshold_over_field"]) == pytest.approx(mean / 100, rel=1e-4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,L5_TTPC_1,0,0,0,0,0,1,0\n", "found cell 'L5_TTPC_1'; accepted are all, L23_PC_1, L4_LBC_1"),
        ("a,all,400,400,400,0,0,1,0\n", "does not cover the cells"),
    ],
)
def test_bad_positions_are_refused(finished_tms: Project, field: Path, tmp_path: Path, row: str, message: str) -> None:
    positions = tmp_path / "positions.csv"
    positions.write_text(HEADER + row)
    process, output = predict(finished_tms, field, positions)
    assert process.returncode == 2 and message in process.stderr and not output.exists()


def test_a_field_is_not_for_the_axon_study(finished_tms: Project, field: Path, tmp_path: Path) -> None:
    process = finished_tms.run(
        "understudy",
        "predict",
        "axon",
        "--model",
        "x.h5",
        "--field",
        str(field),
        "--input",
        "a.csv",
        "--output",
        "b.csv",
    )
    assert process.returncode == 2 and "--field: found it for study axon, which takes none" in process.stderr


@pytest.mark.parametrize(
    ("files", "values", "message"),
    [
        ({"a.swc": "1 1 0 0 0 5 -1\n2 3 0 10 0 1 1\n3 3 0 20 0 1 2\n"}, "cells", "axon"),
        ({"p.csv": "time_us,value\n" + "".join(f"{t},nan\n" for t in range(50))}, "pulses", "found 'nan'"),
    ],
)
def test_bad_files_are_named_before_anything_is_computed(
    project_tms: Project, files: dict[str, str], values: str, message: str
) -> None:
    folder = project_tms.folder / "data"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    (name,) = files
    change = {
        "cells": f"tms={{cells: {{clones: 1, types: [L23_PC], real_source: required, real_files: [{name}], "
        "real_types: [L23_PC]}}",
        "pulses": f"tms={{pulses: {{headline: file, others: [biphasic], file: {name}}}}}",
    }[values]
    target = ("results/tiny_tms/tms/cells.h5", "--cores", "2")
    process = project_tms.run("snakemake", *target, "--configfile", project_tms.configuration, "--config", change)
    assert process.returncode != 0
    assert message in process.stdout + process.stderr and name in process.stdout + process.stderr


def test_a_missing_cell_that_is_required_is_an_error(project_tms: Project) -> None:
    change = "tms={cells: {real_source: required}}"
    process = project_tms.snakemake("-n", "--config", change)
    assert process.returncode != 0 and "tms.cells.real_files: found no file" in process.stdout + process.stderr
