"""The program that draws the axon study: a whole run, one that lacks what it may lack, and one that does not fit."""

from __future__ import annotations

import importlib.util
import json
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import axon_results
import numpy as np
import pytest
from PIL import Image
from test_presentation import FIGURES, metrics
from toy_axon_run import LABELS, ROLES, histories, response, write_field, write_strain

from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.files import InjuryMap, VoxelMaps, write_injury_map, write_voxel_maps
from understudy.axon.layouts import target_names
from understudy.dataset import Field, write_ground_truth
from understudy.errors import InputError
from understudy.provenance.fingerprint import REPOSITORY
from understudy.report import style
from understudy.report.sections import read_sections

HELD_OUT = ROLES.index("heldout")
PRESENTED = {
    "metrics": metrics(),
    "floor": axon_results.noise_floor(),
    "checks": {
        "checks": [{"name": "a", "passed": True, "part": "published behaviour"}, {"name": "b", "passed": False}],
        "rate_dependence": axon_results.rate_dependence(),
    },
    "white_matter_cost": axon_results.cost(),
    "white_matter_errors": axon_results.white_matter_errors(),
    "deployment": axon_results.deployment(),
    "sensitivity": axon_results.sensitivity(),
    "criteria": axon_results.criteria(),
    "sex_comparison": axon_results.sex_comparison(),
    "sampling_comparison": axon_results.sampling_comparison(),
}


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_axon", REPOSITORY / "scripts" / "draw_axon.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_targets(strain: np.ndarray) -> np.ndarray:
    """(n, 12): reference layout, means, spreads."""
    values = response(strain)
    return np.concatenate([values, 0.9 * values, 0.1 * values + 1e-3], axis=1)


def write_truth(path: Path) -> Path:
    strain = histories()
    impact, voxel = np.repeat(np.arange(len(ROLES)), 20), np.tile(np.arange(0, 80, 4), len(ROLES))
    split = np.array(ROLES)[impact]
    subset = np.where(
        split == "training", "sampled", np.where((split == "heldout") & (voxel > 60), "worst_case", "random")
    )
    inputs = strain[impact, voxel]
    write_ground_truth(
        path,
        study="axon",
        inputs=inputs[:, None],
        targets=all_targets(inputs),
        case=np.arange(len(impact)),
        group=impact,
        split=split,
        subset=subset,
        failed=[""] * len(impact),
        channels=[Field("fibre_strain", "1")],
        target_fields=[Field(name, "1") for name in target_names()],
        group_names=LABELS,
        input_step=1.0,
        input_step_unit="ms",
        attributes={"layouts": 16, "sampling": "all", "field_source": "tractogram", "worst_case_sha256": "0" * 64},
    )
    return path


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """A whole run's files; figures are small."""
    monkeypatch.setattr(style, "PNG_DPI", 40)
    paths = {}
    for name, content in PRESENTED.items():
        paths[name] = tmp_path / f"{name}.json"
        paths[name].write_text(json.dumps(content))
    values = all_targets(histories()[HELD_OUT]).astype(np.float32)
    paths["injury_map"] = tmp_path / "injury_map.h5"
    map_of = InjuryMap(values, values, values, np.zeros(len(values), bool), tuple(target_names()), HELD_OUT)
    write_injury_map(paths["injury_map"], map_of)
    paths["white_matter"], paths["sex_maps"] = tmp_path / "white_matter.h5", tmp_path / "sex_maps.h5"
    direct = {name: 1.02 * values[:, column] for column, name in enumerate(TARGETS)}
    write_voxel_maps(paths["white_matter"], VoxelMaps(direct, HELD_OUT))
    sexes = {
        f"{sex}/{name}_mean": factor * values[:, 4 + column]
        for sex, factor in (("male", 1.0), ("female", 1.1))
        for column, name in enumerate(TARGETS)
    }
    write_voxel_maps(paths["sex_maps"], VoxelMaps(sexes, HELD_OUT))
    return Namespace(
        **paths,
        strain=write_strain(tmp_path / "fibre_strain.h5"),
        field=write_field(tmp_path / "fibre_orientation.h5"),
        dataset=write_truth(tmp_path / "ground_truth.h5"),
        presentation=tmp_path / "figures" / "presentation.json",
        figures=[tmp_path / "figures" / f"{name}.png" for name in FIGURES],
        code=None,
        overwrite=False,
    )


def test_whole_run_is_drawn_and_told(program: ModuleType, arguments: Namespace) -> None:
    program.run(arguments)
    page = json.loads(arguments.presentation.read_text())
    shown = {figure["file"] for sections in read_sections(page, "").values() for s in sections for figure in s.figures}
    shown |= {figure["file"] for figure in page["figures"]} | {page["lead"]["file"]}
    assert shown == {path.name for path in arguments.figures}
    for path in arguments.figures:
        assert Image.open(path).height > 60, path.name
    assert "144 white-matter voxels under impact 6" in page["lead"]["caption"]
    text = json.dumps(page, ensure_ascii=False)
    assert "meets 1 of 1 lines" in text and "nan" not in text
    assert ["Profiles", "80 training (all), 40 calibration, 32 random held out, 8 worst case"] in page["what_was_run"]


def test_what_a_run_lacks_becomes_a_line(program: ModuleType, arguments: Namespace) -> None:
    for name in program.OPTIONAL:
        setattr(arguments, name, None)
    arguments.figures = [path for path in arguments.figures if path.stem in ("lead", "sexes_by_tract", "impacts")]
    program.run(arguments)
    page = json.loads(arguments.presentation.read_text())
    assert page["lead"] is None
    heights = {path.stem: Image.open(path).height for path in arguments.figures}
    assert heights["lead"] == heights["sexes_by_tract"] == 28 < heights["impacts"]
    assert "it has no sensitivity.json" in json.dumps(page)


def test_maps_of_another_impact_are_refused(program: ModuleType, arguments: Namespace) -> None:
    write_voxel_maps(arguments.white_matter, VoxelMaps({name: np.zeros(144) for name in TARGETS}, HELD_OUT + 1))
    with pytest.raises(InputError, match=r"white_matter\.h5: found impact 7 and 144 voxels; accepted are impact 6"):
        program.run(arguments)
    arguments.criteria.write_text("no")
    with pytest.raises(InputError, match=r"criteria\.json: found no JSON"):
        program.run(arguments)
    assert not arguments.presentation.exists()
