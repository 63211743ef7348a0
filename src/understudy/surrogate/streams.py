"""Random streams of the surrogate stages, all derived from the one root seed."""

from __future__ import annotations

import numpy as np

from understudy.farm.seeds import case_sequence
from understudy.surrogate.definition import SurrogateDefinition

# Stage numbers in spawn keys; studies number their own stages from 0.
EARLY_STOPPING = 100
MEMBER = 101
FOLDS = 102
FOLD_MEMBER = 103
SUBSETS = 104
CURVE_MEMBER = 105
BASELINE = 106
BOOTSTRAP = 107
REFIT_MEMBER = 108
REFIT_BASELINE = 109
BATCH = 110


def stream(definition: SurrogateDefinition, seed: int, stage: int, number: int) -> np.random.Generator:
    """The generator of item ``number`` of a stage."""
    return np.random.default_rng(case_sequence(seed, definition.study_number, stage, number))
