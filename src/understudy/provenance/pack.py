"""A run as one file to hand on: its RO-Crate, report, numbers, models and records.

What is left out is absent by design: listed with hashes, as in published results. Unpacked anywhere, the folder is an
RO-Crate that `understudy audit` judges. Equal runs give equal bytes: names are sorted, owners and times left out.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
from pathlib import Path

from understudy.errors import InputError
from understudy.provenance.crate import write_crate
from understudy.provenance.reference import is_kept, reference_tree, sound_tree, write_kept, write_list
from understudy.provenance.run_folder import CRATE_FILE, REPORT_FILES, WORKFLOW_FOLDER, file_sha256

SUFFIX = ".tar.gz"


def pack(
    run_folder: Path,
    output: Path | None = None,
    *,
    everything: bool = False,
    agent: str | None = None,
    overwrite: bool = False,
    root: Path | None = None,
) -> Path:
    """Pack a finished run.

    Parameters
    ----------
    run_folder : ``results/<run>`` with a report, clean.
    output : file to write; ``results/<run>.tar.gz`` by default.
    everything : leave nothing out.
    agent : who ran it, for the crate.
    overwrite : replace a file that exists.
    root : repository of the present code; the running code's own by default.

    Returns
    -------
    The written file.

    Raises
    ------
    InputError
        If the run's audit fails, it has no report, or the output exists.
    """
    tree, _ = sound_tree(run_folder, root)
    missing = [name for name in REPORT_FILES if name not in tree.claims]
    if missing:
        raise InputError(f"{run_folder}: found no {', '.join(missing)}; accepted is a finished run: snakemake report")
    output = tree.folder.with_name(tree.folder.name + SUFFIX) if output is None else Path(output)
    if output.exists() and not overwrite:
        raise InputError(f"{output}: exists; accepted is a new name, or --overwrite")
    if not output.name.endswith(SUFFIX):
        raise InputError(f"{output}: accepted is a name that ends in {SUFFIX}")
    if not output.parent.is_dir():
        raise InputError(f"{output.parent}: no such folder")
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as temporary:
        folder = Path(temporary) / tree.folder.name
        folder.mkdir()
        listing = write_kept(tree, None, folder, (lambda path: True) if everything else is_kept)
        write_crate(reference_tree(folder)[0], root, agent)
        added = [CRATE_FILE, *(path.relative_to(folder).as_posix() for path in (folder / WORKFLOW_FOLDER).rglob("*"))]
        listing["crate"] = {name: file_sha256(folder / name) for name in sorted(added) if (folder / name).is_file()}
        write_list(folder, listing)
        packed = Path(temporary) / output.name
        _write_archive(folder, packed)
        os.replace(packed, output)
    return output


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member without what differs between two machines."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _write_archive(folder: Path, archive: Path) -> None:
    """All files of a folder, below the folder's name, in a compressed archive that depends on names and bytes alone."""
    with (
        archive.open("wb") as stream,
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
            name = path.relative_to(folder.parent).as_posix()
            tar.add(path, arcname=name, recursive=False, filter=_plain)
