"""Reference-layout responses of chosen profiles, each simulated once however often it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from understudy.axon.axon_geometry import reference_geometry
from understudy.axon.axon_mechanics import TARGETS, simulate_axons
from understudy.axon.config import Injury
from understudy.axon.sampling import Candidates

# Profiles per call of the kernel: about five seconds between two reports.
_BATCH = 256


class SimulatedProfiles:
    """Responses by impact and voxel.

    Parameters
    ----------
    injury : parameters of the axon.
    report : called with (done, total) after each batch of what is simulated.
    kept : file that holds what is known after each batch, for a program that is started again; None keeps none. Its
        folder must be that of one parameter set, code and strain.
    """

    def __init__(self, injury: Injury, report: Callable[[int, int], None], kept: Path | None = None):
        self._injury = injury
        self._geometry = [reference_geometry(injury)]
        self._report = report
        self._known: dict[tuple[int, int], np.ndarray] = {}
        self._kept = kept
        if kept is not None and kept.exists():
            with np.load(kept) as saved:
                self._known = dict(zip(map(tuple, saved["key"].tolist()), saved["targets"], strict=True))

    def __len__(self) -> int:
        return len(self._known)

    def targets(self, profiles: Candidates) -> np.ndarray:
        """(n, 4) `understudy.axon.axon_mechanics.TARGETS` of profiles.

        Raises
        ------
        InputError
            If a history is not finite or reaches a strain of 1.
        """
        keys = list(zip(profiles.impact.tolist(), profiles.voxel.tolist(), strict=True))
        missing = {key: row for row, key in enumerate(keys) if key not in self._known}
        rows = np.array(list(missing.values()), dtype=np.int64)
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            outputs = simulate_axons(profiles.strain[part].astype(float), self._geometry, self._injury)
            self._known.update({keys[row]: values for row, values in zip(part, outputs[:, 0], strict=True)})
            self._keep()
            self._report(start + len(part), len(rows))
        return np.array([self._known[key] for key in keys]).reshape(len(keys), len(TARGETS))

    def _keep(self) -> None:
        if self._kept is None:
            return
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._kept.with_name(f"{self._kept.name}.tmp")
        with temporary.open("wb") as file:
            np.savez(file, key=np.array(list(self._known)), targets=np.array(list(self._known.values())))
        temporary.replace(self._kept)
