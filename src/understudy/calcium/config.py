"""Configuration of the calcium study: keys, units, ranges and sources.

The word before a source says how well it is known: *found* (read at that place), *recalled* (from memory, not
re-read), *estimate* (ours). Constants of the model stand with their sources in `understudy.calcium.parameters`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from understudy.configuration import Section, quantity
from understudy.surrogate.config import (
    SURROGATE_STAGES,
    CrossValidation,
    Evaluation,
    LearningCurve,
    SurrogateConfig,
    Training,
)


class CourseSettings(Section):
    """Courses of calcium and the receptors' answer to them: what networks learn from."""

    training_scale: float = quantity(
        1.0,
        "1",
        "training courses over 300 clamps, 120 ramps and half sines, and 40 parameter sets of waves",
        "choice",
        gt=0,
        le=20,
    )
    calibration_scale: float = quantity(0.35, "1", "calibration courses, likewise", "choice", gt=0, le=20)
    heldout_scale: float = quantity(0.5, "1", "held-out courses, likewise", "choice", gt=0, le=20)
    per_course: int = quantity(8, "1", "moments of each course that become cases of the shared machine", "choice", ge=1)
    noise: float = quantity(
        0.005, "1", "relative error of calcium from which the noise floor of rates follows", "choice", gt=0, le=0.2
    )


class Receptors(Section):
    """Rate networks of ryanodine receptors, trained on rates and then on whole courses."""

    seeds: int = quantity(3, "1", "networks of each number of unknowns", "choice", ge=1, le=20)
    samples: int = quantity(20_000, "1", "moments on which rates are fitted", "choice", ge=100)
    rate_iterations: int = quantity(300, "1", "iterations of L-BFGS on rates", "choice", ge=1)
    windows: int = quantity(768, "1", "windows of courses on which gates are fitted", "choice", ge=8)
    window_steps: int = quantity(48, "1", "length of such a window in steps", "choice", ge=2)
    course_iterations: int = quantity(300, "1", "iterations of L-BFGS on windows", "choice", ge=0)
    polish_iterations: int = quantity(20, "1", "iterations of Levenberg and Marquardt's method on them", "choice", ge=0)


class Hybrid(Section):
    """Networks and closures inside the cable against the equations on the same grid with the same steps."""

    dt_us: float = quantity(25.0, "us", "time step", "choice: the front's speed is 0.4 % off its limit", gt=0, le=100)
    spacing_um: float = quantity(0.25, "um", "grid spacing", "found: 0.52 um in wave_exam_1d.lua", gt=0.05, le=0.5)
    steps_us: tuple[float, ...] = quantity(
        (100.0, 50.0, 25.0, 12.5), "us", "time steps at which speeds are compared", "choice", min_length=2
    )
    plain: int = quantity(20, "1", "held-out parameter sets, stimulated from rest", "choice", ge=1)
    conditioned: int = quantity(
        24, "1", "held-out parameter sets whose receptors are partly refractory at the start", "choice", ge=1
    )
    threshold_runs: int = quantity(100, "1", "cables near the threshold radius of the ER", "choice", ge=4)
    threshold_cells: int = quantity(200, "1", "grid cells of such a cable of 50 um", "choice", ge=50)
    recovery_gaps_s: tuple[float, ...] = quantity(
        (0.1, 0.3, 1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 14.0, 20.0, 25.0, 30.0),
        "s",
        "gaps between paired pulses",
        "choice: recovery goes from none to all between 2 and 30 s",
        min_length=2,
    )
    cost_rounds: int = quantity(7, "1", "rounds in which the cost per step is measured", "choice", ge=3)

    @model_validator(mode="after")
    def _steps(self) -> Hybrid:
        for name, low, high in (("steps_us", 0.0, 100.0), ("recovery_gaps_s", 0.03, 60.0)):
            found = getattr(self, name)
            if not all(low < value <= high for value in found) or len(set(found)) < len(found):
                raise ValueError(f"{name}: found {found}; accepted are different numbers above {low:g} up to {high:g}")
        return self


class Channels(Section):
    """The same network for five channels, and networks from noisy, sparse observations."""

    training: int = quantity(240, "1", "fitted protocols of each channel", "choice", ge=8)
    stopping: int = quantity(24, "1", "protocols that decide when to stop", "choice", ge=4)
    heldout: int = quantity(48, "1", "held-out protocols", "choice", ge=4)
    intervals: int = quantity(160, "1", "intervals of constant drive in a protocol", "choice", ge=20)
    fit: Literal["full", "quick"] = quantity("full", "-", "stages of the fit: a minute, or seconds", "choice")
    starts: int = quantity(
        3, "1", "fits of each channel, of which the best on the stopping protocols is kept", "choice", ge=1, le=20
    )
    axon_dt_ms: float = quantity(0.01, "ms", "time step of the Hodgkin-Huxley axon", "choice", gt=0, le=0.05)
    noise: float = quantity(0.05, "1", "standard deviation of an observation", "choice", gt=0, le=0.5)
    share: float = quantity(0.5, "1", "share of the interval ends that are observed", "choice", gt=0, le=1)
    missing: float = quantity(0.25, "1", "share of each protocol that is one missing span", "choice", ge=0, lt=1)
    observed: int = quantity(40, "1", "observed protocols", "choice", ge=4)
    observed_iterations: int = quantity(300, "1", "iterations of a fit to observations", "choice", ge=10)


class Design(Section):
    """Channels by design: one network for all settings of three knobs, and the way back from a wanted wave."""

    seeds: int = quantity(3, "1", "networks, each with protocols and first weights of its own", "choice", ge=1, le=10)
    training: int = quantity(640, "1", "fitted protocols, each with its own knobs", "choice", ge=16)
    intervals: int = quantity(120, "1", "intervals of a protocol", "choice", ge=20)
    fit: Literal["full", "quick"] = quantity("full", "-", "stages of the fit: minutes, or seconds", "choice")
    values: int = quantity(8, "1", "values of each knob", "choice: at least 8 (model card)", ge=3)
    bisections: int = quantity(12, "1", "bisections of a threshold", "choice: to 0.15 %", ge=4, le=20)
    refinements: int = quantity(4, "1", "rounds of Newton's method behind the search's grid", "choice", ge=0, le=10)
    targets: int = quantity(4, "1", "wanted waves, drawn from what the design itself can do", "choice", ge=1)
    spacing_um: float = quantity(0.25, "um", "grid spacing of the cables", "choice", gt=0, le=0.5)
    dt_us: float = quantity(50.0, "us", "time step", "choice", gt=0, le=100)
    length_um: float = quantity(32.0, "um", "length of the cables", "choice", ge=12, le=200)
    duration_ms: float = quantity(200.0, "ms", "simulated time of a wave", "choice", ge=50, le=2000)


class WaveMaps(Section):
    """The network at work: waves over receptor density and ER radius."""

    densities: int = quantity(40, "1", "receptor densities, 1.5 to 6 per um2", "choice", ge=2)
    radii: int = quantity(40, "1", "ER radii, 0.15 to 0.35 um", "choice", ge=2)
    checked: int = quantity(64, "1", "cables that the equations repeat", "choice", ge=1)
    dt_us: float = quantity(50.0, "us", "time step", "choice", gt=0, le=100)
    length_um: float = quantity(48.0, "um", "length of the cables", "choice", ge=12, le=200)


class CalciumVerification(Section):
    """Checks of the reference physics."""

    peer: bool = quantity(True, "-", "NEURON rxd on the whole reference front, or on half of it", "choice")
    radii: bool = quantity(
        True, "-", "published threshold radii by the two-dimensional model on converged grids (minutes)", "choice"
    )
    validity: int = quantity(5, "1", "radii of the dendrite at which both models are compared", "choice", ge=0, le=5)
    timing_rounds: int = quantity(5, "1", "rounds in which seconds against NEURON rxd are measured", "choice", ge=1)


class Network(Section):
    """Rate networks of ryanodine receptors."""

    unknowns: Literal[5, 6] = quantity(
        5, "1", "numbers stored per node, u, e and b among them, of the shared machine's network", "choice"
    )
    hidden: tuple[int, int] = quantity((8, 8), "1", "widths of the hidden layers of all receptor networks", "choice")

    @model_validator(mode="after")
    def _widths(self) -> Network:
        if not all(4 <= width <= 64 for width in self.hidden):
            raise ValueError(f"hidden: found {self.hidden}; accepted are two widths of 4 to 64")
        return self


class CalciumTraining(Training):
    """Fit of one network and of the ensemble."""

    epochs: int = quantity(60, "1", "largest number of epochs", "choice", ge=1)
    patience: int = quantity(
        20, "1", "epochs without a better early-stopping loss before a member stops", "choice", ge=1
    )
    batch_size: int = quantity(64, "1", "cases per optimiser step", "choice", ge=1)
    learning_rate: float = quantity(1e-2, "1", "peak AdamW learning rate, cosine schedule", "choice", gt=0, le=0.1)
    weight_decay: float = quantity(1e-4, "1", "AdamW weight decay", "choice", ge=0, le=1)


class CalciumCrossValidation(CrossValidation):
    """Folds over the training groups."""

    folds: int = quantity(5, "1", "folds, random and grouped", "choice", ge=2)


class CalciumLearningCurve(LearningCurve):
    """Error against the number of training cases."""

    sizes: tuple[int, ...] = quantity(
        (100, 300, 1000, 3000), "1", "training-set sizes, each at most the number available", "choice"
    )


class CalciumEvaluation(Evaluation):
    """Comparison of models on held-out data."""

    pca_components: int = quantity(
        2, "1", "principal components in front of the Gaussian process: the inputs have two", "choice", ge=1
    )


class CalciumSurrogate(SurrogateConfig):
    """The surrogate machine."""

    training: CalciumTraining = CalciumTraining()
    cross_validation: CalciumCrossValidation = CalciumCrossValidation()
    learning_curve: CalciumLearningCurve = CalciumLearningCurve()
    evaluation: CalciumEvaluation = CalciumEvaluation()


class CalciumConfig(Section):
    """The study of calcium waves with neural channels."""

    courses: CourseSettings = CourseSettings()
    receptors: Receptors = Receptors()
    hybrid: Hybrid = Hybrid()
    channels: Channels = Channels()
    design: Design = Design()
    maps: WaveMaps = WaveMaps()
    verification: CalciumVerification = CalciumVerification()
    network: Network = Network()
    surrogate: CalciumSurrogate = CalciumSurrogate()


CONFIG = CalciumConfig

# The keys that each stage reads; a key in no stage cannot rerun anything.
STAGES: dict[str, tuple[str, ...]] = {
    "simulate_courses": ("seed", "courses"),
    "train_receptors": ("seed", "receptors", "network"),
    "simulate_hybrid": ("seed", "hybrid"),
    "compare_channels": ("seed", "channels"),
    "design_waves": ("seed", "design"),
    "map_waves": ("maps",),
    "verify_calcium": ("verification",),
    **SURROGATE_STAGES,
}
