"""Fingerprint of a program's code: what Snakemake does not see and a rerun must depend on.

A fingerprint hashes the logic of ``scripts/<program>.py`` and of every first-party module that it reaches by static
imports, the data files beside those modules, and the versions of the numerical distributions they import. Comments,
docstrings, formatting and file times do not enter: editing them reruns nothing. Only the standard library is
imported here, because a Snakefile computes all fingerprints each time it is parsed.

Left out, because they cannot change a result: provenance, the command line for people, configuration models and
errors (each value reaches a program through its stage file, a tracked input), and the farm's progress lines and watch
over processes. ``report/`` counts for the report's programs alone.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from understudy.errors import InputError

PACKAGE = "understudy"
REPOSITORY = Path(__file__).resolve().parents[3]

# Import name of a distribution whose version can change numbers -> its name for pip.
NUMERICAL_DISTRIBUTIONS = {
    "h5py": "h5py",
    "morphio": "morphio",
    "neuron": "neuron",
    "nibabel": "nibabel",
    "nilearn": "nilearn",
    "numba": "numba",
    "numpy": "numpy",
    "pyamg": "pyamg",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
}

# Modules (and, for packages, all below them) that cannot change a result.
EXCLUDED_MODULES = (
    "understudy.cli",
    "understudy.configuration",
    "understudy.errors",
    "understudy.farm.monitor",
    "understudy.farm.ownership",
    "understudy.farm.processes",
    # Its former name: records name commits that have it, whose fingerprints the audit computes again.
    "understudy.farm.watchdog",
    "understudy.provenance",
    "understudy.settings",
    "understudy.watchdog",
    "understudy.worker_process",
)
REPORT_PACKAGE = "understudy.report"
REPORT_PROGRAMS = ("draw_", "judge_results", "write_report")

# The one module that loads a study by its name; a program that reaches it depends on that study's surrogate module.
STUDY_LOADER = "understudy.study"

# Files beside modules that are read at run time; anything else in a package folder is a by-product.
DATA_SUFFIXES = frozenset(
    {
        ".css",
        ".csv",
        ".hoc",
        ".html",
        ".inc",
        ".jinja",
        ".js",
        ".json",
        ".mod",
        ".svg",
        ".toml",
        ".txt",
        ".yaml",
        ".yml",
    }
)

# A package whose data files are read without importing it: `resources.files("nilearn.datasets")`.
_DATA_PACKAGE = re.compile(rb"""resources\.files\(\s*["']([\w.]+)""")


class _Source(NamedTuple):
    digest: str
    imports: tuple[str, ...]
    external: tuple[str, ...]


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _is_type_checking(node: ast.AST) -> bool:
    """Whether ``node`` is an ``if TYPE_CHECKING`` block, which never runs."""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The lists of statements inside a statement (or module) that can run."""
    if not _is_type_checking(node) and getattr(node, "body", None):
        yield node.body
    for name in ("orelse", "finalbody"):
        if getattr(node, name, None):
            yield getattr(node, name)
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield part.body


def _statements(tree: ast.Module) -> Iterator[ast.stmt | ast.Module]:
    """The module and all its statements at any depth; imports and docstrings are never inside expressions."""
    pending: list[Any] = [tree]
    while pending:
        node = pending.pop()
        yield node
        for block in _blocks(node):
            pending.extend(block)


def _drop_docstrings(tree: ast.Module) -> None:
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            if is_text and isinstance(first.value.value, str):
                # A body of a docstring alone does what `pass` does.
                node.body[:1] = [] if isinstance(node, ast.Module) or len(node.body) > 1 else [ast.Pass()]


def imported_names(tree: ast.Module, module: str = "") -> list[str]:
    """Dotted names that a module imports anywhere at run time, ``from a import b`` as both ``a`` and ``a.b``.

    Parameters
    ----------
    tree : the parsed module.
    module : its dotted name, against which relative imports are resolved.
    """
    names: list[str] = []
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level]
                base = ".".join([*parents, base] if base else parents)
            names.append(base)
            names.extend(f"{base}.{alias.name}" for alias in node.names)
    return names


@cache
def _parsed(path: Path, module: str, mtime_ns: int, size: int) -> _Source:
    """Digest and imports of one file; time and size are the key under which a long process may keep it."""
    content = path.read_bytes()
    try:
        tree = ast.parse(content, filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: is not Python ({error})") from None
    names = imported_names(tree, module) + [name.decode() for name in _DATA_PACKAGE.findall(content)]
    first_party = sorted({name for name in names if name == PACKAGE or name.startswith(PACKAGE + ".")})
    external = sorted({name.split(".")[0] for name in names} & NUMERICAL_DISTRIBUTIONS.keys())
    _drop_docstrings(tree)
    text = ast.dump(tree, annotate_fields=False, include_attributes=False)
    return _Source(_sha256(text.encode()), tuple(first_party), tuple(external))


def _source(path: Path, module: str) -> _Source:
    status = path.stat()
    return _parsed(path, module, status.st_mtime_ns, status.st_size)


def logic_digest(path: Path) -> str:
    """Digest of one program's logic, as the files of a fingerprint have it.

    Raises
    ------
    InputError
        If the file is not Python.
    """
    return _source(path, "").digest


def _is_excluded(module: str, program: str) -> bool:
    parts = module.split(".")
    if len(parts) >= 3 and parts[-1] == "config":
        return True
    if any(module == name or module.startswith(name + ".") for name in EXCLUDED_MODULES):
        return True
    if module == REPORT_PACKAGE or module.startswith(REPORT_PACKAGE + "."):
        return not program.startswith(REPORT_PROGRAMS)
    return False


def _module_file(root: Path, module: str) -> Path | None:
    """The file of a first-party module; None for packages, which are empty, and for names inside modules."""
    path = root / "src" / Path(*module.split(".")).with_suffix(".py")
    return path if path.is_file() else None


@cache
def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def closure(program: str, study: str | None = None, root: Path | None = None) -> dict[str, Path]:
    """Files whose logic a program's results depend on: dotted module (``""`` for the program) -> path.

    Parameters
    ----------
    program : name of the rule and of ``scripts/<program>.py``.
    study : the study that a shared surrogate program works for.
    root : repository root with ``scripts/`` and ``src/understudy/``; the running code's own by default.

    Raises
    ------
    InputError
        If there is no such program or study.
    """
    root = REPOSITORY if root is None else Path(root)
    script = root / "scripts" / f"{program}.py"
    if not script.is_file():
        raise InputError(f"{script}: no such program; accepted is the name of a file in scripts/")
    found = {"": script}
    pending = list(_source(script, "").imports)
    study_joined = False
    while pending:
        module = pending.pop()
        path = _module_file(root, module)
        if module in found or path is None or _is_excluded(module, program):
            continue
        found[module] = path
        pending.extend(_source(path, module).imports)
        if module == STUDY_LOADER and study is not None and not study_joined:
            study_joined = True
            surrogate = f"{PACKAGE}.{study}.surrogate"
            if _module_file(root, surrogate) is None:
                raise InputError(f"study: found {study!r}, which has no src/understudy/{study}/surrogate.py")
            pending.append(surrogate)
    return found


def _data_files(folder: Path) -> list[Path]:
    """Data files of one package folder, with those of subfolders that are no packages themselves."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__pycache__")):
            continue
        if path.is_dir():
            if not (path / "__init__.py").exists():
                found.extend(_data_files(path))
        elif path.suffix in DATA_SUFFIXES:
            found.append(path)
    return found


def combined(files: dict[str, str], versions: dict[str, str]) -> str:
    """The fingerprint of a map of file digests and distribution versions."""
    return _sha256(json.dumps([files, versions], sort_keys=True, separators=(",", ":")).encode())


def fingerprint_files(program: str, study: str | None = None, root: Path | None = None) -> dict[str, Any]:
    """Fingerprint of a program with what it is made of.

    Returns
    -------
    dict
        ``digest`` ("sha256:..."), ``files`` (path relative to the repository -> digest of its logic or bytes) and
        ``versions`` (distribution -> version).

    Raises
    ------
    InputError
        If there is no such program or study, or a file is not Python.
    """
    root = REPOSITORY if root is None else Path(root)
    files: dict[str, str] = {}
    distributions: set[str] = set()
    folders: set[Path] = set()
    for module, path in closure(program, study, root).items():
        source = _source(path, module)
        files[path.relative_to(root).as_posix()] = source.digest
        distributions.update(NUMERICAL_DISTRIBUTIONS[name] for name in source.external)
        if module:
            folders.add(path.parent)
    for folder in folders:
        for path in _data_files(folder):
            files[path.relative_to(root).as_posix()] = _sha256(path.read_bytes())
    versions = {name: _version(name) for name in sorted(distributions)}
    files = dict(sorted(files.items()))
    return {"digest": combined(files, versions), "files": files, "versions": versions}


def fingerprint(program: str, study: str | None = None, root: Path | None = None) -> str:
    """``"sha256:..."`` over a program's logic, its data files and its numerical distributions.

    Equal before and after a change of comments, docstrings, formatting or file times; different after a change of
    logic anywhere in the program's import closure. See `fingerprint_files` for parameters and errors.
    """
    return fingerprint_files(program, study, root)["digest"]
