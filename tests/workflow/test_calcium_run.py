"""A finished small calcium run, used and misused as a user would."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import Project

CHANNELS = ("one_state", "two_state", "net4", "net5", "net6")


def results(project: Project, name: str) -> Any:
    return json.loads((project.folder / "results/tiny_calcium/calcium" / name).read_text())


def test_every_part_has_every_channel(finished_calcium: Project) -> None:
    content = results(finished_calcium, "hybrid.json")
    assert set(content["channels"]) == {*CHANNELS, "waves_only"} and set(content["cost"]) == set(CHANNELS)
    for name in CHANNELS:
        assert {"front", "steps", "heldout", "threshold", "recovery"} <= set(content["channels"][name])
    assert set(content["channels"]["waves_only"]) == {"label", "unknowns", "front", "steps", "excursions"}
    # The closure with the refractory share is almost exact, that without it is not where there was an earlier pulse.
    closures = [content["channels"][name] for name in ("two_state", "one_state")]
    assert abs(closures[0]["front"]["speed"]) < 0.01 and closures[0]["heldout"]["missed"] == 0
    assert closures[0]["recovery"]["nrmse"] < closures[1]["recovery"]["nrmse"]


def test_kymographs_are_what_the_errors_say(finished_calcium: Project) -> None:
    with h5py.File(finished_calcium.folder / "results/tiny_calcium/calcium/hybrid.h5") as file:
        reference, closure = (file[f"front/{name}/traces"][..., 0] for name in ("equations", "two_state"))
    error = np.sqrt(((closure - reference) ** 2).mean(axis=0)) / np.ptp(reference, axis=0)
    told = results(finished_calcium, "hybrid.json")["channels"]["two_state"]["front"]["nrmse_u"]
    assert told == pytest.approx(error.max(), rel=1e-4)


def test_networks_of_one_form_for_all_channels(finished_calcium: Project) -> None:
    content = results(finished_calcium, "channels.json")
    assert len({member["weights"] for member in content["members"]}) == 1 and len(content["members"]) == 5
    assert {entry["kind"] for entry in content["observations"]} == {"open probability", "fluorescence"}
    assert set(content["spikes"]) == {"sodium", "potassium", "both"}


def test_designs_and_their_waves(finished_calcium: Project) -> None:
    content = results(finished_calcium, "design.json")
    assert [each["knob"] for each in content["knobs"]] == ["open_max", "inactivation_s", "activation_uM"]
    for each in content["inverse"]:
        found = each["found_amplitude_uM"] / each["amplitude_uM"] - 1
        assert each["errors"][0] == pytest.approx(found)


def test_the_reference_physics_is_verified(finished_calcium: Project) -> None:
    content = results(finished_calcium, "verification.json")
    assert [entry["name"] for entry in content["checks"] if not entry["passed"]] == []
    benchmarks = content["benchmarks"]
    assert benchmarks["bounds"]["violations"] == 0 and benchmarks["bounds"]["cases"] > 10_000
    assert abs(benchmarks["orders"]["space"] - 2) < 0.1 and abs(benchmarks["rxd"]["speed_error"]) < 2e-3
    # A thick dendrite is no cable.
    thick = [entry for entry in benchmarks["validity"] if entry["radius_um"] == 0.5 and entry["dendrite_speed"] > 0]
    assert thick and min(entry["cable_speed"] / entry["dendrite_speed"] for entry in thick) < 0.8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("calcium={hybrid: {dt_us: 500}}", "calcium.hybrid"),
        ("calcium={hybrid: {spacing_um: 1}}", "calcium.hybrid"),
        ("calcium={hybrid: {recovery_gaps_s: [0.01, 1]}}", "accepted are different numbers above 0.03"),
        ("calcium={network: {hidden: [2, 8]}}", "accepted are two widths of 4 to 64"),
        ("calcium={network: {unknowns: 4}}", "calcium.network"),
        ("calcium={receptors: {seed: 3}}", "seed"),
    ],
)
def test_bad_values_are_named(finished_calcium: Project, change: str, message: str) -> None:
    process = finished_calcium.snakemake("-n", "--config", change)
    assert process.returncode != 0 and message in process.stdout + process.stderr
