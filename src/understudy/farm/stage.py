"""One farmed stage: the job's record on rank 0, its facts on every rank, and errors that end all ranks together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.farm.communicator import check_ranks, entered_on_first_rank, mpi_description, together, world
from understudy.farm.keys import stage_key
from understudy.farm.shards import mark_merged
from understudy.provenance.job import Job, job


@dataclass(frozen=True)
class Stage:
    """What every rank knows of the job.

    Attributes
    ----------
    comm : all ranks.
    folder : of this stage's shards.
    key : of the shards that belong to these parameters, this code, these inputs and this seed.
    job : the job itself, on rank 0; None elsewhere.
    """

    comm: Any
    folder: Path
    key: str
    job: Job | None


@contextmanager
def farmed_job(ranks: int, **arguments: Any) -> Iterator[Stage]:
    """`understudy.provenance.job.job` under MPI. Collective: every rank calls it with the same arguments.

    When the body ends well, the shards are marked as merged, before the outputs appear.

    Parameters
    ----------
    ranks : number of ranks that was asked for.
    arguments : those of `job`.

    Raises
    ------
    InputError
        On rank 0, if the launcher started another number of ranks or the job is refused; the others end silently.
    """
    comm = world()
    with together(comm):
        check_ranks(comm, ranks)
        with entered_on_first_rank(comm, lambda: job(**arguments)) as entered:
            facts = None
            if entered is not None:
                key = stage_key(arguments["parameters"], entered.code, entered.input_hashes, arguments.get("seed"))
                facts = (entered.work / arguments["program"], key)
            folder, key = comm.bcast(facts)
            mpi = mpi_description(comm, ranks)
            if entered is not None:
                entered.note("mpi", mpi)
            yield Stage(comm=comm, folder=folder, key=key, job=entered)
            if entered is not None:
                mark_merged(folder, key)
