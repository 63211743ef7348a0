"""Reconstructed neurons from SWC and Neurolucida ASC files, and cells written as SWC."""

from __future__ import annotations

import re
from pathlib import Path

import morphio
import numpy as np

from understudy.errors import InputError
from understudy.tms.morphology import APICAL, AXON, BASAL, SOMA, Morphology, Section, soma_section

FORMATS = (".swc", ".asc")
_KIND_OF = {2: AXON, 3: BASAL, 4: APICAL}
_SWC_TYPE = {SOMA: 1, AXON: 2, BASAL: 3, APICAL: 4}
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

# Warnings that mean a part of the cell hangs in the air.
_FATAL = {
    morphio.Warning.disconnected_neurite: "a disconnected section or second tree",
    morphio.Warning.zero_diameter: "a diameter of 0",
}


def read_morphology(path: str | Path, *, require_axon: bool = True) -> Morphology:
    """A cell from a .swc or .asc file, its soma's centre moved to the origin and +y of the file turned to +z.

    Parameters
    ----------
    path : SWC or Neurolucida ASC file; coordinates in um, +y towards the pia.
    require_axon : refuse cells without an axon.

    Returns
    -------
    Morphology, named by the file's stem. The soma becomes a cylinder as long as wide: its diameter is that of a single
    point or of the three-point cylinder, of the circle with a contour's area, or of the sphere with the area of several
    cylinders. Points on top of each other become one; a section with a single child of its own kind is joined to it.

    Raises
    ------
    InputError
        If the file cannot be read, has another format, no soma or several, several trees, no axon, unknown kinds of
        neurites, or disconnected or zero-length sections.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: found format {path.suffix or '(none)'!r}; accepted are {', '.join(FORMATS)}")
    cell = _opened(path)
    centre, diameter = _soma(path, cell.soma)
    sections = [soma_section(diameter), *_neurites(path, cell, centre)]
    if require_axon and not any(section.kind == AXON for section in sections):
        kinds = sorted({section.kind for section in sections})
        raise InputError(f"{path}: found no axon (sections: {', '.join(kinds)}); accepted are cells with an axon")
    return Morphology(path.stem, tuple(sections))


def write_swc(morphology: Morphology, path: str | Path) -> None:
    """The cell as an SWC file in the orientation of files (+y towards the pia), numbers to 1e-4 um."""
    lines = [f"# {morphology.name}", "# id type x y z radius parent (um)"]
    last = {}
    centre = morphology.sections[0].points.mean(axis=0)
    radius = 0.5 * morphology.sections[0].diameters.max()
    # The three-point soma of NeuroMorpho.Org: centre, then one radius below and above it.
    for number, offset in enumerate((0.0, -radius, radius), start=1):
        x, y, z = _to_file(centre)
        lines.append(f"{number} 1 {x:.4f} {y + offset:.4f} {z:.4f} {radius:.4f} {-1 if number == 1 else 1}")
    count, last[0] = 3, 1
    for i, section in enumerate(morphology.sections[1:], start=1):
        previous = last[section.parent]
        # A stem keeps its own first point; elsewhere that is the parent's last one.
        for point, diameter in list(zip(section.points, section.diameters, strict=True))[section.parent != 0 :]:
            count += 1
            x, y, z = _to_file(point)
            lines.append(f"{count} {_SWC_TYPE[section.kind]} {x:.4f} {y:.4f} {z:.4f} {0.5 * diameter:.4f} {previous}")
            previous = count
        last[i] = previous
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")


def _opened(path: Path) -> morphio.Morphology:
    if not path.is_file():
        raise InputError(f"{path}: found no file; accepted is a readable {' or '.join(FORMATS)} file")
    warnings = morphio.WarningHandlerCollector()
    try:
        cell = morphio.Morphology(str(path), warning_handler=warnings)
    except morphio.MultipleTrees:
        raise InputError(f"{path}: found several trees; accepted is one tree on one soma") from None
    except morphio.MissingParentError as error:
        raise InputError(f"{path}: found a disconnected section ({_words(error)}); accepted is one tree") from None
    except morphio.SomaError as error:
        raise InputError(f"{path}: found a bad soma ({_words(error)}); accepted is one soma") from None
    except (morphio.MorphioError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: found no readable morphology ({_words(error)})") from None
    if len(cell.soma.points) == 0:
        raise InputError(f"{path}: found no soma; accepted are cells with a soma")
    for entry in warnings.get_all():
        found = _FATAL.get(entry.warning.warning())
        if found:
            raise InputError(f"{path}: found {found} ({_words(entry.warning.msg())}); accepted is one tree on one soma")
    return cell


def _words(error: object) -> str:
    """The reader's message on one line, without colours of the terminal."""
    return " ".join(_ESCAPES.sub("", str(error)).split())


def _soma(path: Path, soma: morphio.Soma) -> tuple[np.ndarray, float]:
    """Centre (3,) and diameter, um, in the orientation of the file."""
    points, diameters = np.asarray(soma.points, dtype=float), np.asarray(soma.diameters, dtype=float)
    kind = soma.type
    if kind == morphio.SomaType.SOMA_SIMPLE_CONTOUR:
        centre = points.mean(axis=0)
        # In the contour's own plane: the two main axes of its points.
        _, _, axes = np.linalg.svd(points - centre)
        x, y = (points - centre) @ axes[0], (points - centre) @ axes[1]
        area = 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
        diameter = 2.0 * np.sqrt(area / np.pi)
    elif kind == morphio.SomaType.SOMA_CYLINDERS and len(points) > 1:
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        centre = points.mean(axis=0)
        diameter = np.sqrt(float(np.sum(steps * 0.5 * (diameters[1:] + diameters[:-1]))))
    else:
        centre, diameter = points.mean(axis=0), float(diameters[0])
    if not (np.isfinite(centre).all() and np.isfinite(diameter) and diameter > 0):
        raise InputError(f"{path}: found a soma of {diameter:g} um; accepted are diameters above 0")
    return centre, float(diameter)


def _neurites(path: Path, cell: morphio.Morphology, centre: np.ndarray) -> list[Section]:
    sections: list[Section] = []
    number_of: dict[int, int] = {}
    for source in cell.iter():
        kind = _KIND_OF.get(source.type.value)
        if kind is None:
            found = str(source.type).removeprefix("SectionType.")
            raise InputError(f"{path}: found neurites of kind {found}; accepted are axon, basal and apical dendrite")
        points = _from_file(np.asarray(source.points, dtype=float) - centre)
        diameters = np.asarray(source.diameters, dtype=float)
        parent = 0 if source.is_root else number_of[source.parent.id]
        kept = np.concatenate([[True], np.linalg.norm(np.diff(points, axis=0), axis=1) > 0])
        points, diameters = points[kept], diameters[kept]
        if len(points) < 2:
            x, y, z = source.points[0]
            found = f"a zero-length section ({kind}) at ({x:g}, {y:g}, {z:g})"
            raise InputError(f"{path}: found {found}; accepted are sections longer than 0 um")
        if not source.is_root and len(source.parent.children) == 1 and sections[parent - 1].kind == kind:
            before = sections[parent - 1]
            joined = np.concatenate([before.points, points[1:]]), np.concatenate([before.diameters, diameters[1:]])
            sections[parent - 1] = Section(kind, before.parent, *joined)
            number_of[source.id] = parent
            continue
        sections.append(Section(kind, parent, points, diameters))
        number_of[source.id] = len(sections)
    return sections


def _from_file(points: np.ndarray) -> np.ndarray:
    """Files have the pia at +y: (x, y, z) -> (x, -z, y)."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def _to_file(point: np.ndarray) -> tuple[float, float, float]:
    return float(point[0]), float(point[2]), float(-point[1])
