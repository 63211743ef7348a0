"""Random streams per case: a case's bits depend on the root seed and its own number, never on ranks or order."""

from __future__ import annotations

import numpy as np


def case_sequence(root: int, study_number: int, stage_number: int, case: int) -> np.random.SeedSequence:
    """The seed sequence of one case.

    Parameters
    ----------
    root : root seed of the run, >= 0.
    study_number, stage_number : fixed numbers of the study and of the stage within it, >= 0.
    case : stable case number, >= 0.

    Returns
    -------
    SeedSequence with ``spawn_key=(study_number, stage_number, case)``.
    """
    spawn_key = (study_number, stage_number, case)
    if root < 0 or min(spawn_key) < 0:
        raise ValueError(f"found root seed {root} and spawn key {spawn_key}; accepted are integers >= 0")
    return np.random.SeedSequence(root, spawn_key=spawn_key)
