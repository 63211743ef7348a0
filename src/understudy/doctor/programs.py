"""Python, the compiler, and the packages of the lock."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from understudy.doctor.finding import Finding

_PYTHON = (3, 11)
_SOURCE = 'extern "C" int answer() { return 42; }\n'
_NAMED = 5
# torch's CPU build carries this in its version; the lock leaves it out.
_LOCAL_VERSION = re.compile(r"\+.*$")


def python() -> Finding:
    """The interpreter's version: locks hold for one."""
    found = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] == _PYTHON:
        return Finding("Python", "good", found)
    accepted = ".".join(map(str, _PYTHON))
    return Finding("Python", "problem", found, f"use Python {accepted}: make PYTHON=/path/to/python{accepted} setup")


def compiler() -> Finding:
    """Whether C++ can be compiled, which NEURON's membrane mechanisms need (the tms study)."""
    advice = "install gcc and g++, or load the site's compiler module; the tms study compiles membrane mechanisms"
    missing = [name for name in ("gcc", "g++") if shutil.which(name) is None]
    if missing:
        return Finding("compiler", "problem", f"found no {' and no '.join(missing)}", advice)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "answer.cpp")
        source.write_text(_SOURCE)
        command = ["g++", "-shared", "-fPIC", "-o", str(source.with_suffix(".so")), str(source)]
        made = subprocess.run(command, capture_output=True, text=True)
        version = subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    if made.returncode != 0:
        return Finding("compiler", "problem", f"g++ {version} cannot build a library: {made.stderr.strip()}", advice)
    return Finding("compiler", "good", f"g++ {version} builds a library")


def pinned(lock: Path) -> dict[str, str]:
    """Distribution -> version of a lock file."""
    found = {}
    for line in lock.read_text().splitlines():
        name, separator, version = line.partition("#")[0].partition(";")[0].partition("==")
        if separator:
            found[name.strip().split("[")[0]] = version.strip()
    return found


def _installed(name: str) -> str | None:
    try:
        return _LOCAL_VERSION.sub("", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return None


def cuda_build() -> bool:
    """Whether the installed torch is a CUDA build, told without importing it."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return False
    if "+" in version:
        return "+cu" in version
    names = (distribution.metadata["Name"] or "" for distribution in importlib.metadata.distributions())
    return any(name.lower().startswith("nvidia-cuda-runtime") for name in names)


def packages(repository: Path) -> Finding:
    """Installed packages against the lock that belongs to the installed torch."""
    name = "requirements-cuda.lock" if cuda_build() else "requirements.lock"
    lock = repository / "envs" / name
    if not lock.is_file():
        return Finding("packages", "warning", f"found no {lock}", "run in the project's folder, or restore the lock")
    wanted = pinned(lock)
    installed = {package: _installed(package) for package in wanted}
    wrong = [
        f"{package} {installed[package] or 'absent'} (lock: {version})"
        for package, version in wanted.items()
        if installed[package] != _LOCAL_VERSION.sub("", version)
    ]
    if not wrong:
        return Finding("packages", "good", f"all {len(wanted)} packages of envs/{name} are installed as pinned")
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return Finding(
        "packages",
        "problem",
        f"{len(wrong)} of {len(wanted)} packages differ from envs/{name}: {', '.join(wrong[:_NAMED])}{more}",
        f"make LOCK=envs/{name} setup; until then results do not equal those of the lock",
    )
