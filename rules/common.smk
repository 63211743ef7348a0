"""The validated configuration, the names of paths, fingerprints and resources. No rules."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from understudy import settings
from understudy.errors import InputError
from understudy.farm.processes import mark_workflow
from understudy.farm.shards import remove_merged
from understudy.planning.costs import estimates, memory_request_MB, run_time_minutes
from understudy.planning.studies import study_works
from understudy.provenance.fingerprint import fingerprint


def refuse(error):
    """End with the message alone: a traceback of the workflow's own code tells a user nothing.

    An exception would not do inside an input function: where outputs exist, Snakemake takes it for a rule that cannot
    run and goes on with what is there.
    """
    sys.exit(f"error: {error}")


try:
    # Snakemake has read and merged them; what it passes over without a word is found here.
    for file in workflow.configfiles:
        settings.read_file(Path(file))
    CONFIGURATION = settings.load(config, "configuration")
    settings.require_data_dir(CONFIGURATION)
except InputError as error:
    refuse(error)

RUN_FOLDER = f"results/{CONFIGURATION.run}"

# The environment that runs Snakemake runs its jobs too, activated or not.
ENVIRONMENT = {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", "")])
}
# One thread per rank and per training process: results do not depend on the machine's cores.
for variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
):
    ENVIRONMENT[variable] = "1"
os.environ.update(ENVIRONMENT)
mark_workflow()


def result(*parts):
    """A file of this run: results/<run>/..."""
    return "/".join([RUN_FOLDER, *parts])


def stage_file(study, stage):
    """The file with the keys that one stage reads."""
    return result(study, "config", f"{stage}.yaml")


def log_file(*parts):
    return result("logs", f"{'.'.join(parts)}.log")


def benchmark_file(*parts):
    return result("benchmarks", f"{'.'.join(parts)}.tsv")


def present_code(program, study=None):
    """Fingerprint of a program's first-party code now."""
    try:
        return fingerprint(program, study)
    except InputError as error:
        refuse(error)


def code(program, study=None):
    """That fingerprint as a parameter: Snakemake itself does not see imported modules.

    Inside a job of a cluster only its own rule's is computed: all of them take most of Snakemake's start.
    """
    if workflow.remote_exec:
        return lambda wildcards: present_code(program, study)
    return present_code(program, study)


try:
    ESTIMATES = estimates(CONFIGURATION, study_works(CONFIGURATION))
except InputError as error:
    refuse(error)


def estimate(name, wildcards):
    """What a job is expected to cost, by the name of its benchmark file, which may hold wildcards."""
    job = name.format(**wildcards)
    if job not in ESTIMATES:
        refuse(
            f"{job}: found no work of this rule; accepted is one that src/understudy/<study>/costs.py knows"
        )
    return ESTIMATES[job]


def memory(name):
    """Memory in MB that a job asks for, of each rank where it has ranks; more after each failed attempt."""
    return lambda wildcards, attempt: memory_request_MB(
        estimate(name, wildcards), attempt
    )


def run_time(name):
    """Minutes that a job asks for; more after each failed attempt."""
    return lambda wildcards, threads, attempt: run_time_minutes(
        estimate(name, wildcards), threads, attempt
    )


# What a study makes that no other rule reads; the audit waits for it, so that it judges everything.
FINAL_RESULTS = {}

RANKS = CONFIGURATION.execution.ranks
DEVICE = CONFIGURATION.execution.device


def ranks(wildcards, threads):
    """As many ranks as threads were granted; inside a job of a cluster, where threads are cut to the cores of its
    first node, as many as the job was submitted with."""
    return RANKS if workflow.remote_exec else threads


def launch(wildcards, threads):
    """How an MPI program is started: by the site's launcher, or plainly where there is one rank."""
    count = ranks(wildcards, threads)
    return f"{CONFIGURATION.execution.launcher} -n {count}" if count > 1 else ""


# With one rank there is no launcher and, under SLURM, no MPI job.
MPI_RESOURCES = {"launch": launch, "tasks": ranks, "cpus_per_task": 1}
if RANKS > 1:
    MPI_RESOURCES["mpi"] = CONFIGURATION.execution.launcher

# A GPU is asked for where the configuration names one; the program ends where it does not get it.
GPU_RESOURCES = {}
if DEVICE == "cuda":
    GPU_RESOURCES["gpu"] = 1
    if CONFIGURATION.execution.gpu_type:
        GPU_RESOURCES["gpu_model"] = CONFIGURATION.execution.gpu_type
    if CONFIGURATION.execution.gpu_partition:
        GPU_RESOURCES["slurm_partition"] = CONFIGURATION.execution.gpu_partition


# A job on all ranks needs every core free at once: such jobs first, while there are any, and of the others the long ones
# early, so that short ones are left to fill the cores in the end.
ON_ALL_RANKS, LONG = 20, 10


def external(path):
    """A file that is not the project's: as it is named, or below ``data_dir``."""
    path = Path(path)
    return str(path if path.is_absolute() else Path(CONFIGURATION.data_dir) / path)


def tidy_shards():
    """Merged shards and checkpoints go only now, when every output is in Snakemake's books: a kill costs no case."""
    if CONFIGURATION.execution.keep_shards:
        return
    remove_merged(Path(RUN_FOLDER))
    for program in (
        "train_surrogate",
        "cross_validate_surrogate",
        "measure_learning_curve",
        "compare_criteria",
        "compare_sexes",
        "compare_samplings",
    ):
        shutil.rmtree(Path(RUN_FOLDER, ".work", program), ignore_errors=True)


def check_arrays():
    """Refuse arrays, which snakemake-executor-plugin-slurm 2.8.0 gets wrong: of MPI jobs each task runs the first one,
    settings such as this profile's break its call of sbatch, and jobs that get ready one by one are never submitted
    (its issue 473)."""
    asked = getattr(workflow.executor_settings, "array_jobs", None)
    if asked:
        refuse(
            f"slurm-array-jobs: found {asked}; accepted is to leave it out: this version of the executor plugin runs "
            "arrays wrongly"
        )


def named_profile():
    """The workflow profile on the command line, None for the default one: Snakemake itself does not keep it."""
    for word, following in zip(sys.argv, [*sys.argv[1:], None]):
        option, equals, value = word.partition("=")
        if option == "--workflow-profile":
            return value if equals else following
    return None


def note_command():
    """What a resumed run needs to know."""
    settings.write_command(
        Path(RUN_FOLDER),
        workflow.resource_settings.cores,
        sorted(map(str, workflow.dag_settings.targets)),
        named_profile(),
    )


try:
    settings.write_run_files(CONFIGURATION, Path(RUN_FOLDER))
except InputError as error:
    refuse(error)


def tractogram_path(fibres):
    """Where the tractogram is looked for, or None where the field is synthetic."""
    return (
        None
        if fibres.source == "synthetic" or not fibres.tractogram
        else external(fibres.tractogram)
    )


def tractogram_input(fibres):
    """The tractogram as an input: none where the field is synthetic, an error where a named file is missing.

    With ``source: auto`` a clone without external data falls back to the synthetic field; the report says so.
    """
    path = tractogram_path(fibres)
    if path is None:
        return []
    if Path(path).exists() or fibres.url:
        return ancient(path)
    if fibres.source == "auto":
        return []
    refuse(
        f"axon.fibres.tractogram: found no file {path}; accepted are a TRK or TCK file (absolute or below data_dir), "
        "an address in axon.fibres.url with axon.fibres.sha256, or axon.fibres.source: synthetic"
    )


def tract_names_path(fibres):
    """Where the names of the tractogram's bundles are looked for, or None where there is no tractogram."""
    found = tractogram_path(fibres) and (
        Path(tractogram_path(fibres)).exists() or fibres.url
    )
    return external(fibres.tract_names) if found and fibres.tract_names else None


def tract_names_input(fibres):
    """The file of tract names as an input: none where no tractogram is used, an error where a named file is missing.

    The default's names belong to the default's tractogram: another one without names gives no errors by tract.
    """
    path = tract_names_path(fibres)
    if path is None:
        return []
    if Path(path).exists():
        return ancient(path)
    if fibres.tract_names == type(fibres)().tract_names:
        return []
    refuse(
        f"axon.fibres.tract_names: found no file {path}; accepted is a text file with the name of bundle k on line "
        "k + 1 (absolute or below data_dir), or null"
    )


def digest(path, expected):
    """SHA-256 of an external file as a parameter: its content counts, its time does not.

    A file above 64 MiB is not read each time Snakemake starts: its digest must be in the configuration.
    """
    if not path:
        return None
    if expected:
        return expected
    if not Path(path).exists():
        return None
    if Path(path).stat().st_size > 64 * 2**20:
        refuse(
            f"{path}: found more than 64 MiB and no sha256; accepted is a sha256 key beside the file's key"
        )
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def impact_files(impacts):
    """The CSV files of measured impacts, if the configuration names a folder of them."""
    if impacts.source != "csv":
        return []
    folder = Path(external(impacts.csv_folder))
    files = sorted(str(path) for path in folder.glob("*.csv"))
    if not files:
        refuse(
            f"axon.impacts.csv_folder: found no *.csv file in {folder}; accepted is a folder with one file per impact"
        )
    return files


def real_cell_files(cells):
    """Reconstructed cells that are there, or that a rule retrieves; an error where they are required and missing."""
    if cells.real_source == "none":
        return []
    paths = [external(path) for path in cells.real_files]
    if cells.real_urls:
        return paths
    missing = [path for path in paths if not Path(path).exists()]
    if missing and cells.real_source == "required":
        refuse(
            f"tms.cells.real_files: found no file {missing[0]}; accepted are SWC or ASC files (absolute or below "
            "data_dir), addresses in tms.cells.real_urls with real_sha256, or real_source: auto or none"
        )
    return [path for path in paths if path not in missing]


def real_cells(cells, files):
    """Types and digests of the cells in ``files``, as parameters: content counts, times do not."""
    expected = cells.real_sha256 or [None] * len(cells.real_files)
    every = [external(path) for path in cells.real_files]
    known = dict(zip(every, zip(cells.real_types, expected)))
    return {
        "types": [known[path][0] for path in files],
        "sha256": [digest(path, known[path][1]) for path in files],
    }


def pulse_file(pulses):
    """The CSV file of a pulse, if one is configured; a missing one is an error."""
    if pulses.file is None:
        return []
    path = external(pulses.file)
    if not Path(path).exists():
        refuse(
            f"tms.pulses.file: found no file {path}; accepted is a CSV file with time_us and value"
        )
    return [path]


def coil_file(coil):
    """The .ccd file of the coil, if one is configured; a missing one is an error."""
    if coil.ccd_file is None:
        return []
    path = external(coil.ccd_file)
    if not Path(path).exists():
        refuse(
            f"tms.coil.ccd_file: found no file {path}; accepted is a SimNIBS .ccd file"
        )
    return [path]
