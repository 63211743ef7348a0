"""Bad input through the programs that a user runs: a clear message, an exit status that is not 0, and no damage."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from conftest import Project


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every result file; bookkeeping, logs and what follows from the configuration left out."""
    skipped = {".work", "logs", "benchmarks", "config"}
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not skipped & set(path.relative_to(folder).parts)
    }


def set_keys(project: Project, **values: object) -> None:
    """Set dotted keys (``__`` for the dot) of the tiny configuration."""
    path = project.folder / "tests" / "tiny.yaml"
    content = yaml.safe_load(path.read_text())
    for dotted, value in values.items():
        *parents, last = dotted.split("__")
        section = content
        for part in parents:
            section = section.setdefault(part, {})
        section[last] = value
    path.write_text(yaml.safe_dump(content))


def refused(project: Project, *words: str, arguments: tuple[str, ...] = ()) -> None:
    """Snakemake ends at once with all the words, without a traceback, and every result stays."""
    before = digests(project.folder / "results")
    process = project.snakemake(*arguments)
    text = process.stdout + process.stderr
    assert process.returncode != 0, text
    assert "Traceback" not in text, text
    for word in words:
        assert word in text, text
    assert digests(project.folder / "results") == before


def test_unknown_key(project: Project) -> None:
    set_keys(project, axon__head__element=4)
    refused(project, "axon.head.element: unknown key", "element_mm")


def test_negative_count(project: Project) -> None:
    set_keys(project, axon__sampling__training_profiles=-5)
    refused(project, "axon.sampling.training_profiles", "-5")


def test_more_folds_than_groups(project: Project) -> None:
    set_keys(project, axon__surrogate__cross_validation__folds=50)
    refused(project, "cross_validation.folds", "50", "impacts.training = 6")


def test_missing_tractogram(project: Project) -> None:
    set_keys(project, axon__fibres__source="tractogram", axon__fibres__tractogram="nowhere.trk")
    refused(project, "axon.fibres.tractogram", "nowhere.trk", "synthetic")


def test_results_folder_that_cannot_be_written(empty_project: Project) -> None:
    (empty_project.folder / "results").write_text("a file where the folder should be")
    process = empty_project.snakemake()
    assert process.returncode != 0
    assert "results/tiny" in process.stderr
    assert "writable" in process.stderr


def by_hand(project: Project, *command: str) -> str:
    """A program that must end with one message and leave every result as it is; its standard error."""
    before = digests(project.folder / "results")
    process = project.run(*command)
    assert process.returncode == 2, process.stdout + process.stderr
    assert "Traceback" not in process.stderr, process.stderr
    assert "error: " in process.stderr
    assert digests(project.folder / "results") == before
    return process.stderr


def test_missing_tract_names(project: Project) -> None:
    write_tractogram(project.folder / "some.trk", offset_mm=0.0)
    set_keys(
        project,
        axon__fibres__source="tractogram",
        axon__fibres__tractogram=str(project.folder / "some.trk"),
        axon__fibres__tract_names="nowhere.txt",
    )
    refused(project, "axon.fibres.tract_names", "nowhere.txt", "null")


def write_tractogram(path: Path, offset_mm: float) -> None:
    """A bundle of straight streamlines near the callosum, moved by an offset."""
    import nibabel

    across = np.linspace(-25, 25, 26)[:, None] * np.array([[1.0, 0, 0]])
    lines = [
        (across + np.array([offset_mm, y, z])).astype(np.float32) for y in range(-20, 20, 4) for z in range(15, 25, 2)
    ]
    nibabel.streamlines.save(nibabel.streamlines.Tractogram(lines, affine_to_rasmm=np.eye(4)), str(path))


def map_orientation(project: Project, tractogram: Path) -> tuple[str, ...]:
    config = "results/tiny/axon/config/map_fibre_orientation.yaml"
    output = str(project.folder / "field.h5")
    return (
        "python",
        "scripts/map_fibre_orientation.py",
        "--config",
        config,
        "--tractogram",
        str(tractogram),
        "--field",
        output,
    )


def test_tractogram_not_in_mni_space(project: Project) -> None:
    path = project.folder / "moved.trk"
    write_tractogram(path, offset_mm=300.0)
    text = by_hand(project, *map_orientation(project, path))
    assert "moved.trk" in text
    assert "MNI" in text
    assert not (project.folder / "field.h5").exists()


def test_truncated_tractogram(project: Project) -> None:
    path = project.folder / "cut.trk"
    write_tractogram(path, offset_mm=0.0)
    path.write_bytes(path.read_bytes()[:900])
    assert "cut.trk" in by_hand(project, *map_orientation(project, path))


@pytest.mark.parametrize("damage", ["truncated", "foreign", "not HDF5"])
def test_damaged_ground_truth(project: Project, damage: str) -> None:
    source = project.folder / "results/tiny/axon/ground_truth.h5"
    path = project.folder / "ground_truth.h5"
    if damage == "truncated":
        path.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    elif damage == "foreign":
        with h5py.File(path, "w") as file:
            file["something"] = [1, 2]
    else:
        path.write_text("inputs,targets\n1,2\n")
    config = "results/tiny/axon/config/train_surrogate.yaml"
    command = ("scripts/train_surrogate.py", "--study", "axon", "--config", config, "--dataset", str(path))
    text = by_hand(project, "python", *command, "--models", str(project.folder / "models.h5"))
    assert "ground_truth.h5" in text
    assert not (project.folder / "models.h5").exists()


def test_changed_input_is_noticed_before_work(project: Project) -> None:
    samples = project.folder / "results/tiny/axon/samples.h5"
    with h5py.File(samples, "r+") as file:
        file["strain"][0, 5] += 1e-3
    config = "results/tiny/axon/config/simulate_axons.yaml"
    command = ("scripts/simulate_axons.py", "--config", config, "--samples", str(samples))
    text = by_hand(project, "python", *command, "--dataset", str(project.folder / "other.h5"))
    assert "samples.h5" in text
    assert "sample_profiles" in text


def test_output_is_not_replaced_without_being_told(project: Project) -> None:
    config = "results/tiny/axon/config/map_fibre_orientation.yaml"
    field = "results/tiny/axon/fibre_orientation.h5"
    text = by_hand(project, "python", "scripts/map_fibre_orientation.py", "--config", config, "--field", field)
    assert "--overwrite" in text


def test_wrong_code_is_refused(project: Project) -> None:
    config = "results/tiny/axon/config/map_fibre_orientation.yaml"
    command = ("scripts/map_fibre_orientation.py", "--config", config, "--code", "sha256:0", "--field", "field.h5")
    assert "--code" in by_hand(project, "python", *command)


def farmed(ranks: int) -> tuple[str, ...]:
    config = "results/tiny/axon/config/simulate_axons.yaml"
    inputs = ("--config", config, "--samples", "results/tiny/axon/samples.h5", "--dataset", "other.h5")
    return ("scripts/simulate_axons.py", "--ranks", str(ranks), *inputs)


def test_too_few_ranks(project: Project) -> None:
    text = by_hand(project, "mpiexec", "-n", "1", sys.executable, *farmed(ranks=2))
    assert "--ranks" in text
    assert "asked for 2 ranks" in text
    assert "size 1" in text


def test_launcher_that_starts_single_ranks(project: Project) -> None:
    """A launcher of another MPI starts N programs of size 1: a small shell script does the same."""
    launcher = project.folder / "launcher"
    launcher.write_text('#!/bin/sh\nshift 2\n"$@" & first=$!\n"$@"\nstatus=$?\nwait $first\nexit $status\n')
    launcher.chmod(0o755)
    set_keys(project, execution__launcher=str(launcher))
    process = project.snakemake("-R", "simulate_axons")
    text = process.stdout + process.stderr
    assert process.returncode != 0
    assert "asked for 2 ranks" in text
    assert not (project.folder / "results/tiny/axon/ground_truth.h5").exists()
    assert (project.folder / "results/tiny/axon/fibre_strain.h5").exists()


def predict(project: Project, profiles: Path, models: str = "results/tiny/axon/surrogate/models.h5") -> tuple[str, ...]:
    output = str(project.folder / "predicted.csv")
    return ("understudy", "predict", "axon", "--model", models, "--input", str(profiles), "--output", output)


def write_profiles(project: Project, nan: bool = False) -> Path:
    """Four profiles of the run as `understudy predict` takes them."""
    path = project.folder / "profiles.h5"
    with h5py.File(project.folder / "results/tiny/axon/samples.h5") as samples, h5py.File(path, "w") as file:
        inputs = samples["strain"][:4][:, None, :]
        if nan:
            inputs[2, 0, 7] = np.nan
        file["inputs"] = inputs
        file.attrs["input_step"] = 1.0
        file.attrs["input_step_unit"] = "ms"
    return path


def test_prediction_of_whole_profiles(project: Project) -> None:
    """The good case beside the bad ones: a row per profile, intervals around the mean, a flag."""
    process = project.run(*predict(project, write_profiles(project)))
    assert process.returncode == 0, process.stderr
    header, *rows = (project.folder / "predicted.csv").read_text().splitlines()
    assert len(rows) == 4
    columns = header.split(",")
    assert columns[-1] == "unlike_training"
    first = dict(zip(columns, rows[0].split(","), strict=True))
    lower, mean, upper = (float(first[f"axolemma_strain{end} [1]"]) for end in ("_lower90", "", "_upper90"))
    assert lower <= mean <= upper


def test_profile_with_nan(project: Project) -> None:
    path = write_profiles(project, nan=True)
    text = by_hand(project, *predict(project, path))
    assert "profiles.h5" in text
    assert "NaN" in text
    assert not (project.folder / "predicted.csv").exists()


def test_model_of_another_study(project: Project) -> None:
    path = project.folder / "models.h5"
    shutil.copy(project.folder / "results/tiny/axon/surrogate/models.h5", path)
    with h5py.File(path, "r+") as file:
        file.attrs["study"] = "tms"
    text = by_hand(project, *predict(project, write_profiles(project), models=str(path)))
    assert "tms" in text
    assert "axon" in text


@pytest.mark.parametrize(
    ("header", "cell", "word"),
    [
        ("time_ms,wx_rad_per_s,wy_rad_per_s", "0.0", "columns"),
        ("time_ms,wx_g,wy_g,wz_g", "0.0", "rad_per_s"),
        ("time_ms,wx_rad_per_s,wy_rad_per_s,wz_rad_per_s", "nan", "nan"),
    ],
)
def test_impact_files_with_wrong_columns_units_or_nan(project: Project, header: str, cell: str, word: str) -> None:
    folder = project.folder / "pulses"
    folder.mkdir()
    columns = header.count(",")
    rows = [f"{time}," + ",".join(["1.0"] * (columns - 1) + ["1.0"]) for time in range(61)]
    rows[10] = "10," + ",".join(["1.0"] * (columns - 1) + [cell if cell != "0.0" else "1.0"])
    for number in range(13):
        (folder / f"impact_{number:02}.csv").write_text("\n".join([header, *rows]) + "\n")
    set_keys(project, axon__impacts__source="csv", axon__impacts__csv_folder=str(folder))
    process = project.snakemake("--until", "simulate_impacts")
    text = process.stdout + process.stderr
    assert process.returncode != 0, text
    assert "impact_" in text
    assert word.lower() in text.lower(), text
    assert "Traceback" not in text, text


def test_no_compiler_is_needed(empty_project: Project) -> None:
    """Nothing in the study compiles at run time with the system's compiler: a PATH without one is enough."""
    python = Path(sys.executable)
    folder = empty_project.folder / "bin"
    folder.mkdir()
    for name in ("bash", "sh", "tee", "env", "rm", "mkdir", "uname", "which"):
        (folder / name).symlink_to(shutil.which(name))
    (folder / "python").symlink_to(python)
    (folder / "snakemake").symlink_to(python.parent / "snakemake")
    environment = {**empty_project.environment, "PATH": str(folder), "CC": "/nonexistent"}
    assert shutil.which("cc", path=str(folder)) is None
    process = subprocess.run(
        [
            str(python.parent / "snakemake"),
            "--cores",
            "1",
            "--configfile",
            "tests/tiny.yaml",
            "--until",
            "map_fibre_orientation",
        ],
        cwd=empty_project.folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
