"""Compile the membrane mechanisms for NEURON with its own nrnivmodl."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from understudy.errors import InputError

SOURCES = Path(__file__).resolve().parent / "mechanisms"
LIBRARY = "libnrnmech.so"


def sources_hash(sources: Path = SOURCES) -> str:
    """Hex digest of the .mod files, their names, and the version of NEURON that they are compiled for.

    Raises
    ------
    InputError : no .mod files, or NEURON is not installed.
    """
    files = sorted(sources.glob("*.mod"))
    if not files:
        raise InputError(f"{sources}: found no .mod files, accepted: a folder of NMODL files")
    try:
        digest = hashlib.sha256(metadata.version("neuron").encode())
    except metadata.PackageNotFoundError:
        raise InputError(
            "neuron: found no such package, accepted: the environment of envs/ (pip install neuron)"
        ) from None
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _compiler() -> str:
    """NEURON's nrnivmodl of this environment; the tools it calls are there too."""
    beside = Path(sys.executable).parent / "nrnivmodl"
    program = str(beside) if beside.is_file() else shutil.which("nrnivmodl")
    if program is None:
        raise InputError(
            f"nrnivmodl: found in neither {beside.parent} nor PATH, accepted: the NEURON wheel (pip install neuron)"
        )
    for name, tool in (
        ("make", "make"),
        ("C compiler", os.environ.get("CC", "gcc")),
        ("C++ compiler", os.environ.get("CXX", "g++")),
    ):
        if shutil.which(tool.split()[0]) is None:
            raise InputError(
                f"{name}: found no {tool!r} in PATH, accepted: gcc, g++ and make (nrnivmodl compiles with them)"
            )
    return program


def compile_mechanisms(folder: Path | str, sources: Path = SOURCES) -> Path:
    """Compile the .mod files into ``folder`` unless the library of these very sources is there; return its path.

    The library's name carries `sources_hash`; it appears whole or not at all, so several processes may call this.

    Raises
    ------
    InputError : a tool is missing, or the compilation failed (with the compiler's words).
    """
    folder = Path(folder).resolve()
    target = folder / f"mechanisms_{sources_hash(sources)}.so"
    if target.is_file():
        return target
    program = _compiler()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".compile_") as place:
        for file in sources.glob("*.mod"):
            shutil.copy(file, place)
        # The variables of a surrounding make (or of Snakemake under make) would reach nrnivmodl's own.
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
        process = subprocess.run(
            [program],
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        built = sorted(Path(place).rglob(LIBRARY))
        if process.returncode != 0 or not built:
            words = "\n".join(process.stdout.splitlines()[-30:])
            raise InputError(
                f"{sources}: found files that nrnivmodl could not compile (exit status {process.returncode}), "
                f"accepted: NMODL for NEURON {metadata.version('neuron')}; its last words:\n{words}"
            )
        os.replace(built[0], target)
    return target
