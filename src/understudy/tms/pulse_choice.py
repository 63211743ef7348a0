"""The pulses of a study, by name, and what the network is told of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from understudy.errors import InputError
from understudy.tms.config import Pulses
from understudy.tms.pulses import Pulse, read_pulse, standard_pulses

DELAY_MS = 0.005
"""Start of the pulse in a simulation (found: TMSsim_Aberra2019)."""

RESPONSE_DT_MS, RESPONSE_WINDOW_MS = 0.005, 1.0
"""Steps and span of the linear responses that surrogates are given, whatever the engine's own step is."""


def response_waveform(pulse: Pulse) -> np.ndarray:
    """The pulse in the steps of linear responses, (S,)."""
    return pulse.steps(RESPONSE_DT_MS, RESPONSE_WINDOW_MS, DELAY_MS)


def study_pulses(settings: Pulses, file: Path | None = None) -> dict[str, Pulse]:
    """Headline pulse first, then the other trained ones, then the one that is never trained on.

    Raises
    ------
    InputError
        If the pulse called ``file`` has no file, or the file is no pulse.
    """
    known = standard_pulses()
    chosen = {}
    for name in (settings.headline, *settings.others, settings.unseen):
        if name == "file":
            if file is None:
                raise InputError("pulses.file: found none, but a pulse is called file; accepted is a CSV file")
            chosen[name] = read_pulse(file)
        else:
            chosen[name] = known[name]
    return chosen
