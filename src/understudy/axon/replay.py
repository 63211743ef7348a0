"""Cases of the axon study computed again: one profile in all layouts of the axon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from understudy.axon.axon_geometry import layout_set, reference_geometry
from understudy.axon.config import Injury
from understudy.axon.farmed_axons import farm_axons
from understudy.axon.files import read_samples
from understudy.axon.layouts import combine_layouts
from understudy.farm.replay import Paths, Replay, ReplayedCase, failures, scratch_stage


class _Axons:
    """Profiles of ``samples.h5``; no two of them are coupled."""

    def __init__(self, stage: Mapping[str, Any], paths: Paths) -> None:
        self._injury = Injury(**stage["injury"])
        self._geometries = [reference_geometry(self._injury), *layout_set(self._injury, stage["seed"])]
        self._samples = read_samples(paths["samples"])

    def __len__(self) -> int:
        return len(self._samples.strain)

    def unit(self, case: int) -> tuple[int, ...]:
        return (case,)

    def describe(self, case: int) -> dict[str, Any]:
        samples = self._samples
        return {
            "impact": samples.labels[samples.impact[case]],
            "voxel": int(samples.voxel[case]),
            "split": str(samples.split[case]),
            "subset": str(samples.subset[case]),
            "layouts": len(self._geometries),
            f"fibre strain, every {samples.sample_ms:g} ms": samples.strain[case],
        }

    def compute(self, cases: Sequence[int]) -> dict[int, ReplayedCase]:
        rows = list(cases)
        strain = self._samples.strain[rows]
        with scratch_stage() as stage:
            farmed = farm_axons(
                stage,
                strain,
                self._geometries,
                self._injury,
                block=len(rows),
                label="replay, axon",
                largest_failed=len(rows),
            )
            failed = failures(stage, rows)
        targets = combine_layouts(farmed.outputs)
        return {
            case: ReplayedCase(
                strain[row][None, :],
                targets[row],
                str(farmed.failed[row]),
                failed[case].traceback if case in failed else "",
            )
            for row, case in enumerate(rows)
        }


def _paths(folder: Path, stage: Mapping[str, Any], data: Path) -> Paths:
    return {"samples": folder / "samples.h5"}


@contextmanager
def _opened(stage: Mapping[str, Any], paths: Paths) -> Iterator[_Axons]:
    yield _Axons(stage, paths)


REPLAY = Replay("simulate_axons", "ground_truth.h5", _paths, _opened)
