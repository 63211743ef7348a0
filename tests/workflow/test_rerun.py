"""What reruns after a change: the exact set of rules under ``snakemake -n``."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Project
from rerun_table import SURROGATE, RerunTable, add_logic, put, tiny_values, write_values

# Rules that compute with the injury model.
INJURY = {
    "simulate_axons",
    "simulate_white_matter",
    "simulate_variant",
    "measure_noise_floor",
    "verify_axon",
    "compare_samplings",
}
# Rules fed by each rule, written down independently of the rule files.
FEEDS = {
    "map_fibre_orientation": {
        "simulate_impacts",
        "verify_axon",
        "assess_white_matter",
        "measure_sensitivity",
        "compare_sexes",
        "draw_axon",
    },
    "simulate_impacts": {
        "sample_profiles",
        "simulate_white_matter",
        "verify_axon",
        "map_injury",
        "assess_white_matter",
        "write_maps",
        "measure_sensitivity",
        "compare_sexes",
        "compare_samplings",
        "draw_axon",
    },
    "sample_profiles": {"simulate_axons", "simulate_variant", "measure_noise_floor"},
    "simulate_axons": {
        "train_surrogate",
        "cross_validate_surrogate",
        "measure_learning_curve",
        "evaluate_surrogate",
        "compare_criteria",
        "compare_sexes",
        "compare_samplings",
        "draw_axon",
    },
    "simulate_white_matter": {"map_injury", "assess_white_matter", "write_maps", "compare_samplings", "draw_axon"},
    "simulate_variant": {"compare_criteria", "compare_sexes"},
    "measure_noise_floor": {"evaluate_surrogate", "draw_axon"},
    "verify_axon": {"compare_criteria", "draw_axon", "judge_results", "write_report"},
    "train_surrogate": {"evaluate_surrogate", "map_injury", "measure_sensitivity"},
    "cross_validate_surrogate": {"evaluate_surrogate", "write_report"},
    "measure_learning_curve": {"evaluate_surrogate", "write_report"},
    "evaluate_surrogate": {"draw_axon", "judge_results", "write_report"},
    "map_injury": {"assess_white_matter", "write_maps", "draw_axon", "judge_results", "write_report"},
    "assess_white_matter": {"draw_axon"},
    "write_maps": {"judge_results"},
    "measure_sensitivity": {"draw_axon"},
    "compare_criteria": {"draw_axon"},
    "compare_sexes": {"write_maps", "draw_axon"},
    "compare_samplings": {"draw_axon"},
    "draw_axon": {"judge_results", "write_report"},
    "judge_results": {"write_report"},
    "write_report": set(),
}
ALL = set(FEEDS)
COMPARISONS = {"compare_criteria", "compare_sexes", "compare_samplings"}
# Rules that fit networks.
FITS = {"train_surrogate", "cross_validate_surrogate", "measure_learning_curve", *COMPARISONS}

# Where a key of the configuration first acts. The longest prefix counts; keys that no stage reads rerun nothing.
FIRST = {
    "seed": {
        "simulate_impacts",
        "sample_profiles",
        "measure_sensitivity",
        *INJURY,
        *SURROGATE,
        *COMPARISONS,
    },
    "data_dir": set(),
    "execution": set(),
    "axon.impacts": {"simulate_impacts", "verify_axon", "measure_sensitivity"},
    "axon.head": {"simulate_impacts", "verify_axon", "measure_sensitivity"},
    "axon.tissue": {"simulate_impacts", "verify_axon", "measure_sensitivity"},
    "axon.fibres.source": {"map_fibre_orientation"},
    "axon.fibres.voxel_mm": {"map_fibre_orientation"},
    "axon.fibres.white_matter_threshold": {"map_fibre_orientation"},
    # Where the streamlines come from is tracked by their content alone; the tiny study has none.
    "axon.fibres.tractogram": set(),
    "axon.fibres.sha256": set(),
    "axon.fibres.url": set(),
    "axon.fibres.tract_names": set(),
    "axon.sampling": {"sample_profiles"},
    "axon.sampling.noise_floor_profiles": {"sample_profiles", "measure_noise_floor"},
    "axon.sampling.noise_floor_scale": {"sample_profiles", "measure_noise_floor"},
    "axon.sampling.largest_failed": {"sample_profiles", "simulate_axons"},
    # What decides who is chosen, not how many of which set.
    **{
        f"axon.sampling.{key}": {"sample_profiles", "compare_samplings"}
        for key in (
            "method",
            "cube_mm",
            "min_peak_strain",
            "strain_unit",
            "compression_strain",
            "kmeans_share",
            "random_share",
            "max_lag_ms",
        )
    },
    "axon.injury": INJURY,
    "axon.injury.tau_criterion": {*INJURY, "compare_criteria"},
    # The context of the network that knows both sexes.
    **{
        f"axon.injury.{key}": {*INJURY, "compare_sexes"}
        for key in ("sex", "radius_male_nm", "radius_female_nm", "microtubules_male", "microtubules_female")
    },
    "axon.comparison.training_profiles": {"simulate_variant"},
    "axon.comparison.calibration_profiles": {"simulate_variant"},
    "axon.comparison.heldout_profiles": {"simulate_variant"},
    "axon.comparison.sampling_sizes": {"compare_samplings"},
    "axon.comparison.sampling_members": {"compare_samplings"},
    "axon.comparison.fine_element_mm": {"measure_sensitivity"},
    "axon.network": FITS,
    "axon.surrogate.training": FITS,
    "axon.surrogate.cross_validation": {"cross_validate_surrogate"},
    "axon.surrogate.learning_curve": {"measure_learning_curve"},
    "axon.surrogate.calibration": {"train_surrogate", "compare_sexes"},
    "axon.surrogate.evaluation": {"measure_learning_curve", "evaluate_surrogate", "compare_criteria"},
}

# Keys whose nearest other value needs a second key, or more than a nudge.
OTHER_VALUES = {
    "axon.impacts.source": {"axon.impacts.source": "csv", "axon.impacts.csv_folder": "pulses"},
    "axon.impacts.csv_folder": {"axon.impacts.csv_folder": "pulses"},
    "axon.impacts.axial_share": {"axon.impacts.axial_share": 0.5, "axon.impacts.coronal_share": 0.2},
    "axon.impacts.coronal_share": {"axon.impacts.coronal_share": 0.2, "axon.impacts.sagittal_share": 0.4},
    "axon.impacts.sagittal_share": {"axon.impacts.sagittal_share": 0.2, "axon.impacts.axial_share": 0.5},
    "axon.fibres.source": {"axon.fibres.source": "auto"},
    "axon.fibres.tract_names": {"axon.fibres.tract_names": "other.txt"},
    "axon.fibres.tractogram": {"axon.fibres.tractogram": "other.trk"},
    "axon.fibres.sha256": {"axon.fibres.sha256": "0" * 64},
    "axon.fibres.url": {"axon.fibres.url": "https://example.org/a.trk", "axon.fibres.sha256": "0" * 64},
    "axon.tissue.prony_moduli": {"axon.tissue.prony_moduli": [0.6, 0.04]},
    "axon.tissue.prony_times_s": {"axon.tissue.prony_times_s": [0.006, 0.07]},
    "axon.injury.dx_nm": {"axon.injury.dx_nm": 50},
    "axon.injury.dt_ms": {"axon.injury.dt_ms": 0.25},
    "axon.injury.gap_nm": {"axon.injury.gap_nm": 200},
    "axon.injury.length_um": {"axon.injury.length_um": 5},
    "axon.injury.tau_pitch_nm": {"axon.injury.tau_pitch_nm": 20},
    "axon.injury.neurofilament_pitch_nm": {"axon.injury.neurofilament_pitch_nm": 40},
    "axon.comparison.sampling_sizes": {"axon.comparison.sampling_sizes": [20, 50]},
    "axon.network.widths": {"axon.network.widths": [8, 16]},
    "axon.surrogate.learning_curve.sizes": {"axon.surrogate.learning_curve.sizes": [20, 50]},
}
TABLE = RerunTable("axon", FEEDS, FIRST, OTHER_VALUES)


def test_every_key_reaches_exactly_the_stages_that_read_it(finished: Project) -> None:
    TABLE.hold_stages(finished)


@pytest.mark.parametrize("key", [pytest.param(key, marks=pytest.mark.slow) for key in TABLE.fields()])
def test_every_key_reruns_exactly_its_rules(project: Project, key: str) -> None:
    (project.folder / "data" / "pulses").mkdir(parents=True)
    (project.folder / "data" / "pulses" / "a.csv").write_text("time_ms\n")
    TABLE.hold_key(project, key)


@pytest.mark.parametrize(
    "key", ["seed", "axon.head.scale", "axon.injury.dt_ms", "axon.surrogate.training.epochs", "execution.ranks"]
)
def test_one_key_of_each_kind_reruns_exactly_its_rules(project: Project, key: str) -> None:
    TABLE.hold_key(project, key)


def test_finished_run_has_nothing_to_do(finished: Project) -> None:
    assert finished.planned() == set()


def test_empty_results_give_all_jobs(empty_project: Project) -> None:
    assert empty_project.planned() == ALL


@pytest.mark.parametrize(
    ("module", "first"),
    [
        (
            "src/understudy/axon/axon_mechanics.py",
            {*INJURY, *COMPARISONS, "map_injury", "assess_white_matter", "write_maps", "draw_axon"},
        ),
        ("src/understudy/axon/brain_mechanics.py", {"simulate_impacts", "verify_axon", "measure_sensitivity"}),
        ("src/understudy/axon/sampling.py", {"sample_profiles", "compare_samplings"}),
        ("src/understudy/axon/surrogate.py", {*SURROGATE, *COMPARISONS, "map_injury", "measure_sensitivity"}),
        (
            "src/understudy/surrogate/metrics.py",
            {
                "measure_noise_floor",
                "measure_learning_curve",
                "evaluate_surrogate",
                "assess_white_matter",
                "measure_sensitivity",
                "write_report",
                *COMPARISONS,
            },
        ),
        ("src/understudy/surrogate/refit.py", {"compare_criteria", "compare_samplings"}),
        (
            "src/understudy/farm/shards.py",
            {
                "simulate_impacts",
                "simulate_axons",
                "simulate_white_matter",
                "simulate_variant",
                "measure_noise_floor",
            },
        ),
        ("src/understudy/report/page.py", {"write_report"}),
        ("src/understudy/provenance/job.py", set()),
        ("scripts/sample_profiles.py", {"sample_profiles"}),
    ],
)
def test_logic_changed_in_a_module(project: Project, module: str, first: set[str]) -> None:
    add_logic(project, module)
    assert project.planned() == TABLE.downstream(*first)


def test_comment_and_docstring_rerun_nothing(project: Project) -> None:
    for module in ("axon/axon_mechanics.py", "surrogate/metrics.py", "report/page.py"):
        path = project.folder / "src/understudy" / module
        first, rest = path.read_text().split("\n", 1)
        assert first.startswith('"""')
        other = first.replace('"""', '"""Another docstring. ', 1)
        path.write_text(f"# A comment.\n{other}\n{rest}\n# One more.\n")
    assert project.planned() == set()


def test_touch_reruns_nothing(project: Project) -> None:
    later = time.time() + 100
    for folder in ("src", "scripts", "rules", "config", "profiles", "workflow", "tests", "results/tiny/axon/config"):
        for path in (project.folder / folder).rglob("*"):
            os.utime(path, (later, later))
    os.utime(project.folder / "Snakefile", (later, later))
    assert project.planned() == set()


def write_large_tractogram(path: Path) -> None:
    """Streamlines through the white matter in MNI152 space, more than 1 MB of them."""
    import nibabel
    import numpy as np

    from understudy.axon.white_matter import white_matter_voxels

    white_matter = white_matter_voxels(4.0, 0.38)
    offsets = np.linspace(-6.0, 6.0, 9)[:, None] * np.array([[1.0, 0.0, 0.0]])
    lines = [(centre + offsets).astype(np.float32) for centre in white_matter.centre_mm]
    tractogram = nibabel.streamlines.Tractogram(lines, affine_to_rasmm=np.eye(4))
    nibabel.streamlines.save(tractogram, str(path))
    assert path.stat().st_size > 2**20


def test_git_checkout_reruns_nothing_with_a_large_input(project: Project) -> None:
    """New times on every source and on an external input above 1 MB; then other content of that input."""
    streamlines = project.folder / "data" / "large.trk"
    streamlines.parent.mkdir()
    write_large_tractogram(streamlines)
    values = tiny_values(project)
    put(values, "axon.fibres.source", "tractogram")
    put(values, "axon.fibres.tractogram", "large.trk")
    write_values(project, values)
    assert project.planned() == ALL
    process = project.snakemake("--until", "map_fibre_orientation")
    assert process.returncode == 0, process.stdout + process.stderr
    rest = ALL - {"map_fibre_orientation"}
    assert project.planned() == rest

    commit = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "all"]
    for command in (["git", "init", "-q"], ["git", "add", "-A", ":!results", ":!.snakemake"], commit):
        subprocess.run(command, cwd=project.folder, check=True)
    tracked = subprocess.run(["git", "ls-files"], cwd=project.folder, check=True, capture_output=True, text=True)
    for name in tracked.stdout.split():
        (project.folder / name).unlink()
    time.sleep(1.1)
    subprocess.run(["git", "checkout", "-q", "--", "."], cwd=project.folder, check=True)
    assert project.planned() == rest

    streamlines.write_bytes(streamlines.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    assert project.planned() == ALL
