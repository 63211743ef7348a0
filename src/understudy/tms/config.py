"""Configuration of the TMS threshold study: keys, units, ranges and sources.

The word before a source says how well it is known: *found* (read at that place), *recalled* (from memory of the named
paper, not re-read), *estimate* (ours). Densities, kinetics and statistics of cells stand as tables beside the code that
uses them (`understudy.tms.biophysics`, `understudy.tms.morphology_statistics`, `understudy.tms.coils`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from understudy.configuration import Section, quantity
from understudy.surrogate.config import (
    SURROGATE_STAGES,
    CrossValidation,
    LearningCurve,
    SurrogateConfig,
    Training,
)

CELL_TYPE = Literal["L23_PC", "L4_LBC", "L5_TTPC"]
PULSE = Literal[
    "monophasic", "biphasic", "half_sine", "rectangular_30us", "rectangular_60us", "rectangular_120us", "file"
]


class Cells(Section):
    """Synthetic cells with complete axon arbours, and reconstructed ones where they are at hand."""

    clones: int = quantity(
        5, "1", "synthetic cells of each type", "found: 5 clones per type (Aberra et al. 2018)", ge=1
    )
    types: tuple[CELL_TYPE, ...] = quantity(
        ("L23_PC", "L4_LBC", "L5_TTPC"),
        "-",
        "types of cells",
        "found: the 15 cells of the published CNNs",
        min_length=1,
    )
    real_source: Literal["auto", "none", "required"] = quantity(
        "auto", "-", "reconstructed cells: those that are there, none, or all of them", "choice"
    )
    real_files: tuple[str, ...] = quantity(
        ("morphologies/C060114A5.asc", "morphologies/C010398B-P2.CNG.swc", "morphologies/bio_neuron-000.asc"),
        "-",
        "SWC or Neurolucida ASC files, absolute or below data_dir",
        "found: SSCxEModelExamples (CC BY 4.0), NeuroMorpho.Org (CC BY 4.0), NeuroM (BSD-3)",
    )
    real_types: tuple[CELL_TYPE, ...] = quantity(
        ("L5_TTPC", "L23_PC", "L4_LBC"), "-", "type of each of these files: its channels and its layer", "choice"
    )
    real_urls: tuple[str, ...] = quantity((), "-", "address of each of these files; none: they must be there", "choice")
    real_sha256: tuple[str, ...] = quantity((), "-", "digest of each of these files; needed with addresses", "choice")
    segment_um: float = quantity(
        40.0, "um", "longest segment: nseg = 1 + 2 int(L / this)", "found: ModelDB 241165", gt=1, le=100
    )

    @model_validator(mode="after")
    def _same_number(self) -> Cells:
        for name in ("real_types", "real_urls", "real_sha256"):
            found = len(getattr(self, name))
            optional = name != "real_types" and found == 0
            if found != len(self.real_files) and not optional:
                raise ValueError(f"{name}: found {found} entries, accepted is one for each of real_files")
        if self.real_urls and not self.real_sha256:
            raise ValueError("real_sha256: found none, accepted is one for each of real_urls")
        if len(set(self.types)) < len(self.types):
            raise ValueError(f"types: found {self.types}, accepted is each type once")
        return self


class Engine(Section):
    """How an activation threshold is found."""

    name: Literal["batched", "neuron"] = quantity(
        "batched", "-", "our batched solver, or NEURON with equivalent axial currents", "choice"
    )
    order: Literal[1, 2] = quantity(
        2,
        "1",
        "order of the batched engine in time: implicit Euler as NEURON's fixed step, or backward differences",
        "choice: Euler's bias (1.3 % at 5 us) differs from branch to branch, so that no factor removes it",
    )
    dt_us: float = quantity(
        2.5,
        "us",
        "time step",
        "choice: leaves a bias below 0.2 %; found: 5 us, order 1 (TMSsim_Aberra2019)",
        gt=0,
        le=10,
    )
    window_ms: float = quantity(
        1.0, "ms", "simulated time of a trial", "found: 1 ms (TMSsim_Aberra2019)", ge=0.3, le=10
    )
    precision: Literal["float64", "float32"] = quantity(
        "float32",
        "-",
        "arithmetic of the batched engine",
        "choice: 1.5 times as fast, and thresholds move by less than 1e-4",
    )
    tolerance: float = quantity(
        5e-4, "1", "relative width of the last bracket", "choice: far below what surrogates err", gt=0, le=0.01
    )
    limit_V_per_m: float = quantity(5000.0, "V/m", "largest field that is tried", "choice", gt=100)


class Pulses(Section):
    """Time courses of the coil current's rate of change."""

    headline: PULSE = quantity(
        "monophasic",
        "-",
        "pulse of the headline figures",
        "found: the published networks' pulse (monophasic MagPro X100)",
    )
    others: tuple[PULSE, ...] = quantity(
        ("biphasic", "rectangular_30us", "rectangular_120us"), "-", "further pulses that are trained on", "choice"
    )
    others_share: float = quantity(0.35, "1", "share of the training cases with one of these", "choice", ge=0, lt=1)
    unseen: PULSE = quantity("half_sine", "-", "pulse that nothing is trained on", "choice")
    file: str | None = quantity(
        None, "-", "CSV file (time_us, value) of the pulse called file, absolute or below data_dir", "choice"
    )

    @model_validator(mode="after")
    def _different(self) -> Pulses:
        names = (self.headline, *self.others, self.unseen)
        if len(set(names)) < len(names):
            raise ValueError(f"headline, others, unseen: found {names}, accepted is each pulse once")
        if "file" in names and self.file is None:
            raise ValueError("file: found none, but a pulse is called file; accepted is a CSV file")
        return self


class Coil(Section):
    """The stimulating coil."""

    model: Literal["magventure_mcb70", "magstim_70mm", "ccd"] = quantity(
        "magventure_mcb70",
        "-",
        "figure-of-eight winding as dipoles, or a SimNIBS .ccd file",
        "found: MC-B70 (Aberra 2023)",
    )
    ccd_file: str | None = quantity(None, "-", "the .ccd file, absolute or below data_dir", "choice")
    distance_mm: float = quantity(4.0, "mm", "scalp to the coil's lower face (hair, casing)", "estimate", ge=0, le=50)

    @model_validator(mode="after")
    def _file(self) -> Coil:
        if self.model == "ccd" and self.ccd_file is None:
            raise ValueError("ccd_file: found none, but model is ccd; accepted is a file")
        return self


class Conductivity(Section):
    """Electrical conductivities."""

    scalp_S_per_m: float = quantity(0.465, "S/m", "scalp", "recalled: SimNIBS standard values", gt=0)
    skull_S_per_m: float = quantity(0.010, "S/m", "skull", "recalled: SimNIBS standard values", gt=0)
    csf_S_per_m: float = quantity(1.654, "S/m", "cerebrospinal fluid", "recalled: SimNIBS standard values", gt=0)
    grey_S_per_m: float = quantity(0.275, "S/m", "grey matter", "recalled: SimNIBS standard values", gt=0)
    white_S_per_m: float = quantity(0.126, "S/m", "white matter", "recalled: SimNIBS standard values", gt=0)


class Head(Section):
    """The head in which the field is computed: MNI152 as voxels, refined near the cells."""

    voxel_mm: float = quantity(2.0, "mm", "voxel of the whole head", "choice", ge=1, le=6)
    local_voxel_mm: float = quantity(
        0.5, "mm", "voxel near the cells, tissue from the pial and white surfaces", "choice", ge=0.25, le=3
    )
    local_size_mm: float = quantity(36.0, "mm", "edge of the refined box", "choice", ge=12, le=60)


class SecondConductivity(Section):
    """Electrical conductivities of the second head."""

    scalp_S_per_m: float = quantity(0.33, "S/m", "scalp", "estimate: within published ranges", gt=0)
    skull_S_per_m: float = quantity(0.016, "S/m", "skull", "estimate: within published ranges", gt=0)
    csf_S_per_m: float = quantity(1.8, "S/m", "cerebrospinal fluid", "estimate: within published ranges", gt=0)
    grey_S_per_m: float = quantity(0.33, "S/m", "grey matter", "estimate: within published ranges", gt=0)
    white_S_per_m: float = quantity(0.20, "S/m", "white matter", "estimate: within published ranges", gt=0)


class SecondHead(Section):
    """The head that nothing is trained on: MNI152 warped, with other thicknesses and conductivities."""

    displacement_mm: float = quantity(5.0, "mm", "RMS displacement of the smooth warp", "choice", ge=0, le=10)
    scale: float = quantity(0.08, "1", "anisotropic scaling, +- this", "choice", ge=0, le=0.15)
    thickness: float = quantity(0.30, "1", "change of CSF and skull thickness, +- this", "choice", ge=0, le=0.5)
    conductivity: SecondConductivity = SecondConductivity()


class Placements(Section):
    """Cortical patches and coil placements: what is split into training, calibration and held-out."""

    training_patches: int = quantity(14, "1", "patches for training", "choice", ge=2)
    calibration_patches: int = quantity(4, "1", "patches for conformal calibration", "choice", ge=2)
    heldout_patches: int = quantity(6, "1", "held-out patches; the hand knob is the first", "choice", ge=1)
    second_head_patches: int = quantity(
        5, "1", "patches of the second head, in the hemisphere not trained on", "choice", ge=1
    )
    per_patch: int = quantity(4, "1", "coil placements of each patch; no patch shares one", "choice", ge=1)
    patch_radius_mm: float = quantity(
        10.0, "mm", "radius of a patch along the surface", "found: at least 10 mm between groups", ge=5, le=20
    )
    offset_mm: float = quantity(
        15.0,
        "mm",
        "largest distance of the coil's centre from the scalp point nearest to the patch",
        "choice",
        ge=0,
        le=40,
    )
    hemisphere: Literal["left", "right"] = quantity("left", "-", "hemisphere that is trained on", "choice")


class Sampling(Section):
    """Numbers of thresholds, for each cell."""

    training: int = quantity(2400, "1", "training thresholds", "choice", ge=10)
    calibration: int = quantity(600, "1", "calibration thresholds, headline pulse", "choice", ge=10)
    heldout: int = quantity(1800, "1", "held-out thresholds, headline pulse", "choice", ge=10)
    azimuths: int = quantity(
        6, "1", "azimuths at each held-out position: clones and azimuths make a population", "choice", ge=1
    )
    second_head: int = quantity(200, "1", "thresholds in the second head, headline pulse", "choice", ge=5)
    unseen_pulse: int = quantity(200, "1", "held-out thresholds with the unseen pulse", "choice", ge=5)
    noise_floor: int = quantity(
        40, "1", "held-out thresholds repeated with the cell moved imperceptibly", "choice", ge=5
    )
    noise_floor_um: float = quantity(10.0, "um", "that movement", "choice", gt=0, le=100)
    most_outside: float = quantity(
        0.25,
        "1",
        "largest share of a cell's compartments outside grey and white matter; others are drawn anew and counted",
        "choice: arbours are wider than the cortex is thick",
        ge=0,
        le=1,
    )
    largest_failed: int = quantity(
        0, "1", "thresholds that may fail; more end the run after all others are safe", "choice", ge=0
    )


class Maps(Section):
    """The surrogate at work: thresholds over the cortex of one hemisphere."""

    azimuths: int = quantity(
        12, "1", "azimuths of each cell", "found: 12 in 30 degree steps (Aberra et al. 2023)", ge=1
    )
    vertex_step: int = quantity(1, "1", "every n-th vertex of the surface", "choice", ge=1)


class Comparison(Section):
    """Models that the network is compared with."""

    direction_step_deg: int = quantity(
        10,
        "deg",
        "grid of the uniform-field direction map",
        "choice: a quarter of the thresholds of the 5 x 5 degrees found (TMSsimCNN_Aberra2023)",
        ge=1,
        le=45,
    )
    published_filters: tuple[int, ...] = quantity(
        (80, 60, 45, 33), "1", "filters of the published network's layers", "found: defaults of TMSsimCNN_Aberra2023"
    )
    published_dense: tuple[int, ...] = quantity(
        (50, 37), "1", "widths of its dense layers", "found: defaults of TMSsimCNN_Aberra2023"
    )
    published_epochs: int = quantity(40, "1", "epochs of its training; published: probably 2,000", "choice", ge=1)

    @model_validator(mode="after")
    def _divides(self) -> Comparison:
        if 180 % self.direction_step_deg:
            raise ValueError(f"direction_step_deg: found {self.direction_step_deg}, accepted is a divisor of 180")
        return self


class Verification(Section):
    """Checks of the engine against NEURON and of the field."""

    fields: int = quantity(
        32, "1", "random uniform and as many non-uniform fields for each type of cell", "choice", ge=2
    )
    refined: int = quantity(50, "1", "cells whose thresholds are repeated in a field twice as fine", "choice", ge=0)

    @property
    def every_type(self) -> bool:
        """Whether time and convergence are measured for every type of cell, below this size for the smallest alone."""
        return self.fields >= 16


class Network(Section):
    """The network of the TMS surrogate."""

    width: int = quantity(48, "1", "width of the layers that see one terminal", "choice", ge=4)
    hidden: int = quantity(48, "1", "width of the layer that sees all terminals", "choice", ge=4)
    sharpness: float = quantity(20.0, "1", "initial sharpness of the soft minimum over terminals", "choice", gt=0)


class TmsTraining(Training):
    """Fit of one network and of the ensemble."""

    epochs: int = quantity(40, "1", "largest number of epochs", "choice", ge=1)
    patience: int = quantity(
        15, "1", "epochs without a better early-stopping loss before a member stops", "choice", ge=1
    )
    batch_size: int = quantity(64, "1", "cases per optimiser step", "choice", ge=1)
    learning_rate: float = quantity(4e-3, "1", "peak AdamW learning rate, cosine schedule", "choice", gt=0, le=0.1)
    weight_decay: float = quantity(1e-3, "1", "AdamW weight decay", "choice", ge=0, le=1)


class TmsCrossValidation(CrossValidation):
    """Folds over the training groups."""

    folds: int = quantity(5, "1", "folds, random and grouped", "choice", ge=2)


class TmsLearningCurve(LearningCurve):
    """Error against the number of training cases."""

    sizes: tuple[int, ...] = quantity(
        (300, 1000, 3000, 10_000, 30_000), "1", "training-set sizes, each at most the number available", "choice"
    )


class TmsSurrogate(SurrogateConfig):
    """The surrogate machine."""

    training: TmsTraining = TmsTraining()
    cross_validation: TmsCrossValidation = TmsCrossValidation()
    learning_curve: TmsLearningCurve = TmsLearningCurve()


class TmsConfig(Section):
    """The study of TMS activation thresholds."""

    cells: Cells = Cells()
    engine: Engine = Engine()
    pulses: Pulses = Pulses()
    coil: Coil = Coil()
    conductivity: Conductivity = Conductivity()
    head: Head = Head()
    second_head: SecondHead = SecondHead()
    placements: Placements = Placements()
    sampling: Sampling = Sampling()
    maps: Maps = Maps()
    comparison: Comparison = Comparison()
    verification: Verification = Verification()
    network: Network = Network()
    surrogate: TmsSurrogate = TmsSurrogate()


CONFIG = TmsConfig

# The keys that each stage reads; a key in no stage cannot rerun anything.
STAGES: dict[str, tuple[str, ...]] = {
    "build_cells": (
        "seed",
        "cells.clones",
        "cells.types",
        "cells.segment_um",
        "engine",
        "pulses",
    ),
    "place_coils": ("seed", "placements", "coil", "head", "second_head"),
    "simulate_fields": ("seed", "coil", "conductivity", "head", "second_head"),
    "place_cells": (
        "seed",
        "cells.segment_um",
        "pulses",
        "second_head",
        "placements.hemisphere",
        "sampling.training",
        "sampling.calibration",
        "sampling.heldout",
        "sampling.second_head",
        "sampling.unseen_pulse",
        "sampling.azimuths",
        "sampling.most_outside",
    ),
    "simulate_thresholds": ("seed", "cells.segment_um", "engine", "pulses", "sampling.largest_failed"),
    "measure_threshold_noise": (
        "seed",
        "cells.segment_um",
        "engine",
        "pulses",
        "sampling.noise_floor",
        "sampling.noise_floor_um",
    ),
    "map_directions": ("seed", "cells.segment_um", "engine", "pulses", "comparison.direction_step_deg"),
    "compare_models": ("seed", "comparison", "network", "surrogate.training", "surrogate.evaluation"),
    "map_thresholds": (
        "seed",
        "cells.segment_um",
        "engine",
        "pulses",
        "coil",
        "conductivity",
        "head",
        "placements.hemisphere",
        "maps",
    ),
    "verify_tms": ("seed", "cells.segment_um", "engine", "pulses", "coil", "conductivity", "head", "verification"),
    **SURROGATE_STAGES,
}
