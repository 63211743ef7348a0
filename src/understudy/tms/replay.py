"""Cases of the TMS study computed again: the threshold of a placed cell in its field, with its block or alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from understudy.farm.replay import Paths, Replay, ReplayedCase, failures, scratch_stage
from understudy.tms.farmed_thresholds import Cases, case_blocks, farm_thresholds, placed_cases, study_simulator
from understudy.tms.fields import Field
from understudy.tms.files import open_fields, read_cells, read_placements, read_samples


class _PlacedCells:
    """Cells of ``samples.h5``; a block of one cell and one pulse shares a matrix product, so its cases are coupled."""

    def __init__(self, stage: Mapping[str, Any], paths: Paths, field_of: Callable[[int], Field]) -> None:
        self._cells, _ = read_cells(paths["cells"])
        self._placements, _ = read_placements(paths["placements"])
        self._samples = read_samples(paths["samples"])
        self._cases = placed_cases(self._samples)
        self._field_of = field_of
        self._simulator = study_simulator(stage, self._cells, paths["pulse"], paths["library"])
        blocks = case_blocks(self._cases, self._simulator.sizes)
        self._block = {case: block.cases for block in blocks for case in block.cases}

    def __len__(self) -> int:
        return len(self._samples)

    def unit(self, case: int) -> tuple[int, ...]:
        return self._block[case]

    def describe(self, case: int) -> dict[str, Any]:
        samples = self._samples
        return {
            "cell": self._cells[samples.cell[case]].name,
            "placement": self._placements[samples.placement[case]].name,
            "pulse": samples.pulses[samples.pulse[case]],
            "split": str(samples.split[case]),
            "subset": str(samples.subset[case]),
            "soma, mm": samples.position_mm[case],
            "normal": samples.normal[case],
            "azimuth, rad": float(samples.azimuth_rad[case]),
            "engine": self._simulator.engine.name,
            "cases of its block": len(self._block[case]),
        }

    def compute(self, cases: Sequence[int]) -> dict[int, ReplayedCase]:
        numbers = np.array(cases)
        every = self._cases
        part = Cases(every.cell[numbers], every.placement[numbers], every.pulse[numbers], every.pose.part(numbers))
        with scratch_stage() as stage:
            farmed = farm_thresholds(
                stage,
                self._simulator,
                part,
                self._field_of,
                label="replay, tms",
                with_inputs=True,
                largest_failed=len(numbers),
            )
            failed = failures(stage, cases)
        # A block that raised has no values at all.
        threshold = farmed.values.get("threshold", np.full(len(numbers), np.nan))
        inputs = farmed.values.get("inputs")
        return {
            case: ReplayedCase(
                None if case in failed else inputs[row].astype(np.float32),
                np.array([threshold[row] if np.isfinite(threshold[row]) else np.nan]),
                str(farmed.failed[row]),
                failed[case].traceback if case in failed else "",
            )
            for row, case in enumerate(cases)
        }


def _paths(folder: Path, stage: Mapping[str, Any], data: Path) -> Paths:
    names = {name: folder / f"{name}.h5" for name in ("cells", "placements", "fields", "samples")}
    own = stage["pulses"].get("file")
    return {**names, "library": folder / "mechanisms" / "libnrnmech.so", "pulse": [data / own] if own else []}


@contextmanager
def _opened(stage: Mapping[str, Any], paths: Paths) -> Iterator[_PlacedCells]:
    with open_fields(paths["fields"]) as field_of:
        yield _PlacedCells(stage, {"pulse": [], **paths}, field_of)


REPLAY = Replay("simulate_thresholds", "ground_truth.h5", _paths, _opened)
