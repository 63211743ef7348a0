"""Configuration of the axonal injury study: keys, units, ranges and sources.

The word before a source says how well it is known: *found* (read at that place), *recalled* (from memory of the named
paper, not re-read), *estimate* (ours).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import model_validator

from understudy.configuration import Section, quantity
from understudy.surrogate.config import SURROGATE_STAGES, SurrogateConfig


class Impacts(Section):
    """Head impacts as rotational pulses about the head's centre."""

    source: Literal["synthetic", "csv"] = quantity(
        "synthetic", "-", "pulses drawn from distributions or read from files", "choice"
    )
    csv_folder: str | None = quantity(
        None, "-", "folder of CSV files (time and three angular velocities), one per impact; with source csv", "choice"
    )
    training: int = quantity(36, "1", "impacts for training", "choice", ge=2)
    calibration: int = quantity(9, "1", "impacts for conformal calibration", "choice", ge=2)
    heldout: int = quantity(5, "1", "held-out impacts, stratified by severity and axis", "choice", ge=1)
    velocity_median_rad_per_s: float = quantity(
        10.0,
        "rad/s",
        "median peak angular velocity (lognormal)",
        "estimate; found: youth hockey median 7.9, 95th percentile 20.2 rad/s (SafetyLit 664384)",
        gt=0,
    )
    velocity_log_sigma: float = quantity(0.5, "1", "lognormal sigma of peak angular velocity", "estimate", gt=0, le=2)
    velocity_min_rad_per_s: float = quantity(4.0, "rad/s", "smallest peak angular velocity", "estimate", gt=0)
    velocity_max_rad_per_s: float = quantity(
        35.0, "rad/s", "largest peak angular velocity", "estimate; found: 34.5 rad/s example record", gt=0
    )
    acceleration_ratio_median_per_s: float = quantity(
        95.0,
        "1/s",
        "median of peak angular acceleration over peak angular velocity (lognormal)",
        "estimate; found: 614 rad/s2 at 7.9 rad/s (SafetyLit 664384), 1112 at 10.5 (J Appl Biomech 2022)",
        gt=0,
    )
    acceleration_ratio_log_sigma: float = quantity(0.3, "1", "lognormal sigma of that ratio", "estimate", gt=0, le=2)
    rise_min_ms: float = quantity(10.0, "ms", "shortest raised-cosine rise", "estimate", gt=0)
    rise_max_ms: float = quantity(25.0, "ms", "longest raised-cosine rise", "estimate", gt=0)
    decay_min_ms: float = quantity(20.0, "ms", "shortest exponential decay constant", "estimate", gt=0)
    decay_max_ms: float = quantity(60.0, "ms", "longest exponential decay constant", "estimate", gt=0)
    rebound_probability: float = quantity(0.3, "1", "share of impacts with a rebound", "estimate", ge=0, le=1)
    rebound_min: float = quantity(0.2, "1", "smallest rebound over peak angular velocity", "estimate", ge=0, le=1)
    rebound_max: float = quantity(0.5, "1", "largest rebound over peak angular velocity", "estimate", ge=0, le=1)
    axial_share: float = quantity(0.4, "1", "share of impacts about the axial axis", "estimate", ge=0, le=1)
    coronal_share: float = quantity(
        0.3, "1", "share of impacts about the coronal-plane axis (anterior-posterior)", "estimate", ge=0, le=1
    )
    sagittal_share: float = quantity(
        0.3, "1", "share of impacts about the sagittal-plane axis (left-right)", "estimate", ge=0, le=1
    )
    cone_deg: float = quantity(
        20.0, "deg", "half angle of the random cone about the main axis", "estimate", ge=0, le=90
    )
    duration_ms: int = quantity(100, "ms", "simulated time", "estimate; found: records of 60 ms", ge=20, le=400)

    @model_validator(mode="after")
    def _consistent(self) -> Impacts:
        for low, high in (
            ("velocity_min_rad_per_s", "velocity_max_rad_per_s"),
            ("rise_min_ms", "rise_max_ms"),
            ("decay_min_ms", "decay_max_ms"),
            ("rebound_min", "rebound_max"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low}: found {getattr(self, low)} above {high} = {getattr(self, high)}")
        total = self.axial_share + self.coronal_share + self.sagittal_share
        if abs(total - 1) > 1e-9:
            raise ValueError(f"axial_share, coronal_share, sagittal_share: found the sum {total:g}, accepted is 1")
        if self.source == "csv" and self.csv_folder is None:
            raise ValueError("csv_folder: found none, but source is csv; accepted is a folder")
        if self.rise_max_ms >= self.duration_ms:
            raise ValueError(f"rise_max_ms: found {self.rise_max_ms}, accepted is less than duration_ms")
        return self


class Head(Section):
    """Hexahedral mesh of the MNI152 brain."""

    element_mm: float = quantity(
        4.0,
        "mm",
        "edge of a hexahedron in template space",
        "choice: 4 to 6 mm moves the 95th-percentile fibre strain by 5-7 %",
        ge=2,
        le=10,
    )
    scale: float = quantity(
        0.94,
        "1",
        "linear scale from the MNI152 template to a living head",
        "estimate: the template's brain is larger than life",
        gt=0.5,
        le=1.2,
    )


class Tissue(Section):
    """Anisotropic visco-hyperelastic brain tissue and the CSF layer."""

    shear_modulus_Pa: float = quantity(2673.0, "Pa", "instantaneous shear modulus G0", "recalled: WHIM V1.0", gt=0)
    bulk_modulus_MPa: float = quantity(
        2.19,
        "MPa",
        "bulk modulus (K/G0 = 820)",
        "choice: 219 MPa recalled for WHIM V1.0 divides the time step by 10",
        gt=0,
    )
    fibre_stiffness_Pa: float = quantity(
        25459.0, "Pa", "fibre stiffness k1 (k2 = 0), tension only", "recalled: WHIM V1.0", ge=0
    )
    fibre_dispersion: float = quantity(
        0.2,
        "1",
        "dispersion kappa of the fibre term, 0 aligned, 1/3 isotropic",
        "estimate; recalled: WHIM V1.0 takes it from FA",
        ge=0,
        le=1 / 3,
    )
    prony_moduli: tuple[float, ...] = quantity((0.6521, 0.0429), "1", "Prony relative moduli", "recalled: WHIM V1.0")
    prony_times_s: tuple[float, ...] = quantity((0.0067, 0.0747), "s", "Prony relaxation times", "recalled: WHIM V1.0")
    density_kg_per_m3: float = quantity(1040.0, "kg/m3", "tissue density", "recalled: common value", gt=0)
    csf_shear_modulus_Pa: float = quantity(
        500.0, "Pa", "shear modulus of the one-element CSF layer", "estimate: 200-500 Pa", gt=0
    )
    hourglass_coefficient: float = quantity(
        0.1, "1", "Flanagan-Belytschko stiffness hourglass coefficient (of G0)", "estimate", gt=0, le=1
    )
    courant: float = quantity(
        0.5,
        "1",
        "time step over element edge / dilatational wave speed",
        "choice; the limit is 1 for one-point cubes",
        gt=0,
        le=0.9,
    )

    @model_validator(mode="after")
    def _prony(self) -> Tissue:
        if len(self.prony_moduli) != len(self.prony_times_s):
            raise ValueError(
                f"prony_times_s: found {len(self.prony_times_s)} times for {len(self.prony_moduli)} prony_moduli"
            )
        if any(g < 0 for g in self.prony_moduli) or sum(self.prony_moduli) >= 1:
            raise ValueError(f"prony_moduli: found {self.prony_moduli}; accepted are values >= 0 with a sum below 1")
        if any(t <= 0 for t in self.prony_times_s):
            raise ValueError(f"prony_times_s: found {self.prony_times_s}; accepted are values above 0")
        return self


class Fibres(Section):
    """Fibre orientation per white-matter voxel."""

    source: Literal["auto", "tractogram", "synthetic"] = quantity(
        "auto",
        "-",
        "orientation from streamlines, from the anatomy alone (synthetic), or from streamlines where there are any",
        "choice",
    )
    tractogram: str | None = quantity(
        "fibres/icbm152_adult.trk",
        "-",
        "TRK or TCK file in MNI152 RAS mm, absolute or below data_dir",
        "found: HCP-1065 population atlas, Yeh 2022, Nat Commun 13:4933 (CC BY-SA 4.0)",
    )
    sha256: str | None = quantity(None, "-", "expected SHA-256 of that file; null takes the file as it is", "choice")
    tract_names: str | None = quantity(
        "fibres/icbm152_adult.bundles.txt",
        "-",
        "text file with the name of bundle k on line k + 1, absolute or below data_dir; null: no errors by tract",
        "found: HCP-1065 population atlas, Yeh 2022, Nat Commun 13:4933 (CC BY-SA 4.0)",
    )
    url: str | None = quantity(
        None, "-", "address from which `snakemake retrieve_tractogram` fetches the file", "choice"
    )
    voxel_mm: float = quantity(2.0, "mm", "edge of a white-matter voxel", "found: 2 mm (Zhang et al. 2025)", ge=1, le=8)
    white_matter_threshold: float = quantity(
        0.38,
        "1",
        "white-matter probability above which a voxel counts",
        "choice: gives 92,439 voxels at 2 mm, published 92,500",
        gt=0,
        lt=1,
    )

    @model_validator(mode="after")
    def _file(self) -> Fibres:
        if self.url and not self.sha256:
            raise ValueError("sha256: found none, but url is set; accepted is the SHA-256 of the file at that address")
        if self.source == "tractogram" and not self.tractogram:
            raise ValueError("tractogram: found none, but source is tractogram; accepted is a TRK or TCK file")
        return self


class Sampling(Section):
    """Choice of the profiles that are simulated."""

    method: Literal["stratified_adaptive", "random", "kmeans"] = quantity(
        "stratified_adaptive", "-", "how training profiles are chosen", "found: Zhang et al. 2025 (stratified adaptive)"
    )
    training_profiles: int = quantity(2000, "1", "training profiles", "found: N = 2000 (Zhang et al. 2025)", ge=20)
    calibration_profiles: int = quantity(1500, "1", "random profiles of the calibration impacts", "choice", ge=50)
    heldout_profiles: int = quantity(
        2000, "1", "random profiles of the held-out impacts", "choice: at least 1,000 to judge coverage", ge=50
    )
    worst_case_profiles: int = quantity(
        75,
        "1",
        "worst-case profiles of the held-out impacts, from inputs only",
        "found: N = 75 (Zhang et al. 2025)",
        ge=1,
    )
    noise_floor_profiles: int = quantity(
        200, "1", "held-out profiles rerun with their history scaled by +-0.5 %", "choice", ge=10
    )
    noise_floor_scale: float = quantity(
        0.005, "1", "relative change of the history for the noise floor", "choice", gt=0, le=0.1
    )
    cube_mm: float = quantity(6.0, "mm", "edge of a stratification cube", "found: 6 mm cubes (Zhang et al. 2025)", ge=2)
    min_peak_strain: float = quantity(0.005, "1", "smallest peak tensile fibre strain of a candidate", "estimate", ge=0)
    strain_unit: float = quantity(0.01, "1", "strain that counts as distance 1 (RMS over time)", "choice", gt=0)
    compression_strain: float = quantity(
        0.01,
        "1",
        "strain above which the adaptive distance counts ratios rather than differences",
        "choice: the axon's response varies most between 0.01 and 0.12",
        gt=0,
    )
    kmeans_share: float = quantity(
        0.5,
        "1",
        "share of the training profiles nearest to k-means centres, out of what the method leaves",
        "choice: adaptive sampling reaches the tail, k-means covers where most histories are",
        ge=0,
        lt=1,
    )
    random_share: float = quantity(
        0.0,
        "1",
        "share of the training profiles drawn at random over voxels; what both shares leave is chosen by the method",
        "choice",
        ge=0,
        lt=1,
    )
    largest_failed: int = quantity(
        0, "1", "profiles whose simulation may fail; more end the run after all others are safe", "choice", ge=0
    )
    max_lag_ms: int = quantity(5, "ms", "largest time shift forgiven by the distance", "estimate", ge=0)

    @model_validator(mode="after")
    def _shares(self) -> Sampling:
        if self.kmeans_share + self.random_share >= 1:
            raise ValueError(
                f"kmeans_share + random_share: found {self.kmeans_share:g} + {self.random_share:g}; accepted is a sum "
                "below 1"
            )
        return self


class Comparison(Section):
    """Experiments beside the main study: the other sex and tau criterion, ways of sampling, mechanics."""

    training_profiles: int = quantity(
        1000, "1", "training profiles of the other sex and the other tau criterion, evenly out of all", "choice", ge=20
    )
    calibration_profiles: int = quantity(500, "1", "calibration profiles of the same", "choice", ge=20)
    heldout_profiles: int = quantity(
        1000, "1", "random held-out profiles of the same", "choice: at least 1,000 to judge coverage", ge=20
    )
    sampling_sizes: tuple[int, ...] = quantity(
        (125, 250, 500, 1000, 2000), "1", "training-set sizes at which ways of sampling are compared", "choice"
    )
    sampling_members: int = quantity(
        2, "1", "networks per way of sampling and size; their spread leads active learning", "choice", ge=2
    )
    fine_element_mm: float = quantity(
        3.0, "mm", "element edge of the refined repetition of the first held-out impact", "choice", ge=2, le=10
    )

    @model_validator(mode="after")
    def _increasing(self) -> Comparison:
        sizes = self.sampling_sizes
        if not sizes or any(b <= a for a, b in pairwise(sizes)) or sizes[0] < 10:
            raise ValueError(f"sampling_sizes: found {sizes}; accepted are increasing numbers of at least 10")
        return self


class Injury(Section):
    """Discretised axon: microtubule lines, tau, neurofilament side-arms, axolemma."""

    sex: Literal["male", "female"] = quantity("male", "-", "parameter set: radius and microtubule count", "choice")
    layouts: int = quantity(
        16, "1", "random gap layouts for mean and spread (a common set for all profiles)", "choice: at least 16", ge=2
    )
    length_um: float = quantity(10.0, "um", "axon segment, node of Ranvier in the middle", "estimate", gt=1, le=100)
    dx_nm: float = quantity(
        100.0,
        "nm",
        "station spacing, a divisor of the gap and of the length",
        "choice: measured against 50 and 25 nm, see the V9 lines of the verification",
        gt=0,
        le=500,
    )
    dt_ms: float = quantity(
        0.5,
        "ms",
        "time step; shorter than the sampling of 1 ms it divides it",
        "choice: RMS difference of the microtubule strain from a step of 0.25 ms is 1.5 %, that of a step of 1 ms 8 %",
        gt=0,
        le=1,
    )
    node_length_um: float = quantity(1.0, "um", "node of Ranvier", "recalled: 1-2 um", gt=0)
    radius_male_nm: float = quantity(500.0, "nm", "axon radius, male", "estimate: 250-600", gt=0)
    radius_female_nm: float = quantity(370.0, "nm", "axon radius, female", "estimate: 250-600", gt=0)
    microtubules_male: Literal[7, 12, 19] = quantity(
        19,
        "1",
        "microtubule lines, male (hexagonal)",
        "found: 7 or 19, BrainFEM",
    )
    microtubules_female: Literal[7, 12, 19] = quantity(
        12, "1", "microtubule lines, female (19 less 7 outer)", "estimate"
    )
    microtubule_modulus_GPa: float = quantity(1.2, "GPa", "Young's modulus of a microtubule", "found: BrainFEM", gt=0)
    microtubule_area_nm2: float = quantity(400.0, "nm2", "cross section of a microtubule", "found: BrainFEM", gt=0)
    wall_gap_nm: float = quantity(
        20.0,
        "nm",
        "wall-to-wall distance of neighbouring microtubules",
        "estimate: pitch 45 nm; found: 20-38 nm, Hasan 2022",
        gt=0,
    )
    gap_nm: float = quantity(
        100.0,
        "nm",
        "axial gap in each microtubule line, at a random place",
        "estimate: 50-200; found: 20-50, BrainFEM",
        gt=0,
    )
    tau_pitch_nm: float = quantity(
        25.0, "nm", "tau cross-links along a neighbour pair", "estimate; recalled 20-40; found 33, BrainFEM", gt=0
    )
    tau_angle_deg: float = quantity(
        45.0, "deg", "tau angle to the microtubule, random sign", "found: 30 and 45, BrainFEM", gt=0, lt=90
    )
    tau_stiffness_pN_per_nm: float = quantity(
        0.25, "pN/nm", "long-time stiffness k of a tau link", "recalled: Ahmadzadeh 2014", gt=0
    )
    tau_relaxation_s: float = quantity(
        0.35, "s", "Kelvin-Voigt relaxation time theta", "recalled: Ahmadzadeh 2014", gt=0
    )
    tau_maxwell_ratio: float = quantity(
        40.0,
        "1",
        "Maxwell over long-time stiffness beta (relaxation theta/beta)",
        "estimate: 10-100 from molecular dynamics (Khan 2021); calibrated to the published behaviour: at 30 the gaps "
        "raise the microtubule strain by less than 1.5, at 60 the rate effect between 1 and 44 /s turns round",
        ge=0,
    )
    tau_criterion: Literal["elongation", "bell"] = quantity(
        "elongation",
        "-",
        "tau failure: elongation, or quenched Bell rate on force",
        "choice, before any surrogate was trained, by agreement with the published behaviour: "
        "17 of 22 claims, the Bell criterion 13; it misses that gaps raise the microtubule strain 1.5-3 times and that "
        "fast loading raises it more than 2 times, but its link forces (140-280 pN) are nearer to the published "
        "1-100 pN",
    )
    tau_failure_elongation: float = quantity(
        0.4,
        "1",
        "mean elongation at failure",
        "found: 0.40, Hasan 2022; calibration prefers it to 0.6, 1 (recalled: Peter & Mofrad 2012) and 2",
        gt=0,
    )
    tau_elongation_spread: float = quantity(
        0.4,
        "1",
        "relative standard deviation of the elongation at failure from link to link (lognormal)",
        "estimate: links differ in place, angle and isoform; calibrated: 0.4 meets one claim more than 0.2",
        ge=0,
        le=1,
    )
    tau_bell_rate_per_s: float = quantity(0.01, "1/s", "Bell off-rate at zero force", "estimate", gt=0)
    tau_bell_distance_nm: float = quantity(0.2, "nm", "Bell distance x_b", "estimate", gt=0)
    neurofilament_pitch_nm: float = quantity(
        50.0, "nm", "side-arms along an outer microtubule", "estimate: 40-60", gt=0
    )
    neurofilament_stiffness_pN_per_nm: float = quantity(0.05, "pN/nm", "side-arm stiffness", "estimate", gt=0)
    neurofilament_relaxation_s: float = quantity(0.05, "s", "side-arm Maxwell relaxation time", "estimate", gt=0)
    neurofilament_maxwell_ratio: float = quantity(
        10.0, "1", "side-arm Maxwell over long-time stiffness", "estimate", ge=0
    )
    neurofilament_failure_slip_nm: float = quantity(
        60.0, "nm", "slip at side-arm failure", "estimate; recalled arm length 30-60 nm", gt=0
    )
    neurofilament_slip_spread: float = quantity(
        0.2,
        "1",
        "relative standard deviation of that slip from arm to arm (lognormal)",
        "estimate; recalled arm length 30-60 nm",
        ge=0,
        le=1,
    )
    axolemma_stiffness_pN: float = quantity(
        6000.0,
        "pN",
        "axial stiffness EA of axolemma and cortex at the node, male radius",
        "estimate: 20 kPa, 100 nm, R 500 nm; calibrated with internode_factor to a node strain of 0.2-0.4 at axon "
        "strain 0.10",
        gt=0,
    )
    internode_factor: float = quantity(
        5.0,
        "1",
        "axolemma stiffness of internodes (myelin) over the node's",
        "estimate: 3-30; calibrated, see axolemma_stiffness_pN",
        ge=1,
    )
    axolemma_maxwell_ratio: float = quantity(2.0, "1", "axolemma Maxwell over long-time stiffness", "estimate", ge=0)
    axolemma_relaxation_s: float = quantity(0.01, "s", "axolemma Maxwell relaxation time", "estimate", gt=0)
    axoplasm_coupling_pN_per_nm2: float = quantity(
        0.01,
        "pN/nm2",
        "axoplasm shear coupling of bundle and axolemma per length",
        "derived: 2 pi G/ln(R/r), G = 1 kPa",
        ge=0,
    )

    @model_validator(mode="after")
    def _steps(self) -> Injury:
        for key, value, whole, words in (
            ("dx_nm", self.dx_nm, self.gap_nm, f"gap_nm = {self.gap_nm:g} nm"),
            ("dx_nm", self.dx_nm, 1000 * self.length_um, f"length_um = {self.length_um:g} um"),
            ("dt_ms", self.dt_ms, 1.0, "the sampling of 1 ms"),
        ):
            if abs(whole / value - round(whole / value)) > 1e-9:
                raise ValueError(f"{key}: found {value:g}, accepted is a whole part of {words}")
        if self.gap_nm >= 250 * self.length_um:
            raise ValueError(f"gap_nm: found {self.gap_nm:g}, accepted is less than a quarter of length_um")
        if self.node_length_um >= self.length_um:
            raise ValueError(f"node_length_um: found {self.node_length_um:g}, accepted is less than length_um")
        return self


class Network(Section):
    """The network of the axon surrogate."""

    mixtures: int = quantity(16, "1", "learned mixtures of strain and its memories", "choice", ge=2)
    block_ms: int = quantity(10, "ms", "time over which a mixture's maximum is taken at once", "choice", ge=1, le=50)
    widths: tuple[int, ...] = quantity((32, 32), "1", "widths of the dense layers at each block of time", "choice")
    hidden: int = quantity(128, "1", "width of the two dense layers after pooling", "choice", ge=8)


class AxonConfig(Section):
    """The axonal injury study."""

    impacts: Impacts = Impacts()
    head: Head = Head()
    tissue: Tissue = Tissue()
    fibres: Fibres = Fibres()
    sampling: Sampling = Sampling()
    injury: Injury = Injury()
    comparison: Comparison = Comparison()
    network: Network = Network()
    surrogate: SurrogateConfig = SurrogateConfig()

    @model_validator(mode="after")
    def _possible(self) -> AxonConfig:
        early = self.surrogate.training.early_stopping_fraction
        folds = self.surrogate.cross_validation.folds
        if folds > self.impacts.training:
            raise ValueError(
                f"surrogate.cross_validation.folds: found {folds}, accepted is at most impacts.training = "
                f"{self.impacts.training}, because grouped folds need an impact each"
            )
        if round(early * self.impacts.training) < 1:
            raise ValueError(
                f"surrogate.training.early_stopping_fraction: found {early}, which leaves no impact of "
                f"impacts.training = {self.impacts.training} for early stopping"
            )
        return self


CONFIG = AxonConfig

# The keys that each stage reads; a key in no stage cannot rerun anything.
STAGES: dict[str, tuple[str, ...]] = {
    "map_fibre_orientation": ("fibres.source", "fibres.voxel_mm", "fibres.white_matter_threshold"),
    "simulate_impacts": ("seed", "impacts", "head", "tissue"),
    "sample_profiles": ("seed", "sampling"),
    "simulate_axons": ("seed", "injury", "sampling.largest_failed"),
    "measure_noise_floor": ("seed", "injury", "sampling.noise_floor_profiles", "sampling.noise_floor_scale"),
    "verify_axon": ("seed", "impacts", "head", "tissue", "injury"),
    "simulate_white_matter": ("seed", "injury"),
    "simulate_variant": (
        "seed",
        "injury",
        "comparison.training_profiles",
        "comparison.calibration_profiles",
        "comparison.heldout_profiles",
    ),
    "measure_sensitivity": ("seed", "impacts", "head", "tissue", "comparison.fine_element_mm"),
    "compare_criteria": ("seed", "injury.tau_criterion", "network", "surrogate.training", "surrogate.evaluation"),
    "compare_sexes": (
        "seed",
        "injury.sex",
        "injury.radius_male_nm",
        "injury.radius_female_nm",
        "injury.microtubules_male",
        "injury.microtubules_female",
        "network",
        "surrogate.training",
        "surrogate.calibration",
    ),
    "compare_samplings": (
        "seed",
        "sampling.method",
        "sampling.cube_mm",
        "sampling.min_peak_strain",
        "sampling.strain_unit",
        "sampling.compression_strain",
        "sampling.kmeans_share",
        "sampling.random_share",
        "sampling.max_lag_ms",
        "injury",
        "comparison.sampling_sizes",
        "comparison.sampling_members",
        "network",
        "surrogate.training",
    ),
    **SURROGATE_STAGES,
}
