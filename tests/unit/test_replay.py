"""Cases computed again: equal bits are told, one other bit is found, and a failed case can be looked at alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from test_audit import DATASET, FOLDS, MODELS, PREDICTIONS, Run

from understudy.errors import InputError
from understudy.farm.replay import Replay, ReplayedCase
from understudy.provenance import replay as provenance_replay
from understudy.provenance.file_checks import run_tree
from understudy.provenance.reference import publish, reference_tree
from understudy.provenance.replay import TOLERANCE, replay_study, rerun_case, rerun_text

ALL = 60


class ToyCases:
    """The cases of `test_audit.write_dataset`; pairs of them are coupled."""

    def __init__(self, failing: int = -1, shift: float = 0.0) -> None:
        generator = np.random.default_rng(1)
        self._inputs = generator.normal(size=(ALL, 1, 4)).astype(np.float32)
        self._targets = generator.normal(size=(ALL, 2))
        self._failing, self._shift = failing, shift
        self.computed: list[tuple[int, ...]] = []

    def __len__(self) -> int:
        return ALL

    def unit(self, case: int) -> tuple[int, ...]:
        return (case - case % 2, case - case % 2 + 1)

    def describe(self, case: int) -> dict[str, Any]:
        return {"impact": f"impact {case // 6}", "strain": self._inputs[case]}

    def compute(self, cases: Sequence[int]) -> dict[int, ReplayedCase]:
        self.computed.append(tuple(cases))
        found = {}
        for case in cases:
            if case == self._failing:
                found[case] = ReplayedCase(None, np.full(2, np.nan), "ValueError: NaN", "Traceback: in the physics")
            else:
                found[case] = ReplayedCase(self._inputs[case], self._targets[case] + self._shift)
        return found


def toy(cases: ToyCases) -> Replay:
    @contextmanager
    def opened(stage: Mapping[str, Any], paths: Mapping[str, Any]) -> Iterator[ToyCases]:
        assert stage["seed"] == 5
        yield cases

    return Replay("simulate_axons", "ground_truth.h5", lambda folder, stage, data: {}, opened)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("replayed"))


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    """A copy that a test may damage, its code too."""
    copy = made.copied(tmp_path)
    copy.root = shutil.copytree(made.root, tmp_path / "code")
    return copy


def replayed(run: Run, cases: ToyCases, count: int = ALL) -> dict[str, list[str]]:
    findings = replay_study(run_tree(run.folder)[0], "axon", toy(cases), count, 3, run.root)
    kinds: dict[str, list[str]] = {}
    for entry in findings:
        kinds.setdefault(entry["kind"], []).append(entry["message"])
    return kinds


def test_equal_bits_are_told(run: Run) -> None:
    cases = ToyCases()
    found = replayed(run, cases, 5)
    assert set(found) == {"replayed"}
    count = sum(map(len, cases.computed))
    assert f"{count} cases computed again (5 drawn with seed 3): {count} equal bit for bit" in found["replayed"][0]
    assert all(len(unit) == 2 for unit in cases.computed), "coupled cases are computed together"
    other = ToyCases()
    replay_study(run_tree(run.folder)[0], "axon", toy(other), 5, 4, run.root)
    assert other.computed != cases.computed, "another seed draws others"


def test_forged_ground_truth_is_found_where_all_hashes_fit(run: Run) -> None:
    """One target in its last bit, with every record that names the file rewritten: hashes prove consistency only."""
    with h5py.File(run.folder / DATASET, "a") as file:
        file["targets"][7, 1] = np.nextafter(file["targets"][7, 1], 9)
    run.rehash(DATASET, DATASET, MODELS, FOLDS, PREDICTIONS)
    assert run.findings() == set()
    found = replayed(run, ToyCases())
    assert len(found["replay_mismatch"]) == 1 and "case 7: tau_failed: says" in found["replay_mismatch"][0]


def test_forged_inputs_and_failures_are_found(run: Run) -> None:
    with h5py.File(run.folder / DATASET, "a") as file:
        file["inputs"][3, 0, 0] += 1
    run.rehash(DATASET, DATASET, MODELS, FOLDS, PREDICTIONS)
    found = replayed(run, ToyCases(failing=8))["replay_mismatch"]
    assert len(found) == 2 and "case 3: its inputs differ" in found[0]
    assert "case 8: says 'no failure', computed again 'ValueError: NaN'" in found[1]


def test_other_circumstances_are_a_warning_beyond_the_tolerance(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance_replay, "processor_name", lambda: "another processor")
    found = replayed(run, ToyCases(shift=0.1 * TOLERANCE))
    assert set(found) == {"replayed"} and f"{ALL} within 1e-06 of the target's range" in found["replayed"][0]
    found = replayed(run, ToyCases(shift=100 * TOLERANCE))
    assert set(found) == {"replayed", "replay_differs"} and len(found["replay_differs"]) == ALL
    assert "this is another processor" in found["replay_differs"][0]


def test_changed_code_is_named(run: Run) -> None:
    (run.root / "src/understudy/physics/simulate_axons.py").write_text("value = 2\n")
    assert "the code changed since" in replayed(run, ToyCases(shift=1.0))["replay_differs"][0]


def test_what_cannot_be_replayed_is_said(run: Run, tmp_path: Path) -> None:
    tree = run_tree(run.folder)[0]
    kind = [entry["kind"] for entry in replay_study(tree, "axon", None, 3, 1, run.root)]
    folder = publish(run.folder, "axon", tmp_path / "reference", run.root)
    kind += [
        entry["kind"] for entry in replay_study(reference_tree(folder)[0], "axon", toy(ToyCases()), 3, 1, run.root)
    ]
    (run.axon / "config/simulate_axons.yaml").write_text("seed: 6\n")
    kind += list(replayed(run, ToyCases()))
    assert kind == ["not_replayed"] * 3


@pytest.mark.parametrize("damage", ["truncated", "no targets", "words for targets"])
def test_a_damaged_ground_truth_is_not_replayed(run: Run, damage: str) -> None:
    if damage == "truncated":
        (run.folder / DATASET).write_bytes((run.folder / DATASET).read_bytes()[:2000])
    else:
        with h5py.File(run.folder / DATASET, "a") as file:
            del file["targets"]
            if damage == "words for targets":
                file["targets"] = np.full((ALL, 2), b"word")
    found = replayed(run, ToyCases(), 2)
    assert set(found) == {"not_replayed"} and "cannot be read" in found["not_replayed"][0]


def test_a_case_that_cannot_be_compared_is_not_replayed(run: Run) -> None:
    """The other cases of the draw are."""
    with h5py.File(run.folder / DATASET, "a") as file:
        del file["inputs"]
        file["inputs"] = np.zeros((ALL - 1, 1, 4), np.float32)
    found = replayed(run, ToyCases())
    assert len(found["not_replayed"]) == 1 and f"case {ALL - 1}: cannot be compared" in found["not_replayed"][0]


def test_cases_that_no_stage_has_are_found(run: Run) -> None:
    with h5py.File(run.folder / DATASET, "a") as file:
        file["case"][-1] = 10**12
    found = replayed(run, ToyCases())
    assert found["replay_mismatch"][0] == f"holds cases {10**12}; accepted are 0 to {ALL - 1}"


def rerun(run: Run, cases: ToyCases, case: int, together: bool = False) -> Any:
    inputs, found = rerun_case(run.folder, "axon", toy(cases), case, together)
    assert inputs["impact"] == f"impact {case // 6}"
    return found


def test_one_case_alone(run: Run) -> None:
    cases = ToyCases()
    found = rerun(run, cases, 9)
    assert cases.computed == [(9,)] and found.sound
    assert "equal to the stored case bit for bit" in rerun_text(found)
    assert rerun(run, cases, 9, together=True).together == (8, 9)
    text = rerun_text(rerun(run, ToyCases(shift=1e-9), 9))
    assert "differs from the stored case" in text and "with 1 others" in text


def test_a_failed_case_of_a_stage_that_did_not_end(run: Run) -> None:
    (run.folder / DATASET).unlink()
    run.record(DATASET).unlink()
    (run.folder / "config/configuration.yaml").write_text("data_dir: data\n")
    found = rerun(run, ToyCases(failing=9), 9)
    assert not found.sound and found.stored is None
    text = rerun_text(found)
    assert "failed: ValueError: NaN" in text and "in the physics" in text and "NOT FINITE" in text


def test_wrong_cases_are_refused(run: Run) -> None:
    with pytest.raises(InputError, match="case: found 60; accepted are 0 to 59"):
        next(rerun_case(run.folder, "axon", toy(ToyCases()), ALL))
    with pytest.raises(InputError, match="no such folder"):
        next(rerun_case(run.folder / "nothing", "axon", toy(ToyCases()), 1))
