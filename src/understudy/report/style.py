"""One look for all figures: colours that colour-blind readers can tell apart, plain axes, the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

INK = "#1d2733"
MUTED = "#66727f"
RULE = "#d5dbe1"
BAND = "#e9eef3"

# Okabe & Ito's colour-blind safe set, darkened a little where it must hold as text or thin lines on white.
BLUE = "#0067a5"
ORANGE = "#d98a00"
GREEN = "#00805f"
VERMILLION = "#cc4b00"
PURPLE = "#b0568f"
SKY = "#4aa3df"
GREY = "#8a95a0"

NETWORK = BLUE
PUBLISHED = PURPLE
SERIES = (ORANGE, GREEN, GREY, SKY, VERMILLION)
MARKERS = ("s", "D", "^", "v", "P")
CYCLE = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY)

# Files for print, and charts inside the page, which are seen at about half their size.
PNG_DPI, PAGE_DPI = 300, 200
# A palette makes a picture three times smaller, and no eye tells the two apart.
CHART_COLOURS, MAP_COLOURS = 64, 256

_RC = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "legend.borderaxespad": 0.3,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handletextpad": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "savefig.facecolor": "white",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save inside this context: the project's style, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """A figure without pyplot's global state; call it inside `styled`."""
    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(figure)
    return figure


def soft_grid(axes: Axes, axis: str = "both") -> None:
    """Thin grid lines that stay behind the data."""
    axes.grid(True, axis=axis)
    axes.tick_params(axis=axis, length=3)


def _drawn(figure: Figure, dpi: int, colours: int) -> Image.Image:
    """The figure in a palette."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    with Image.open(stream) as image:
        # This method keeps the ends of a colour scale, which few pixels have.
        method = Image.Quantize.MAXCOVERAGE
        return image.convert("RGB").quantize(colours, method=method, dither=Image.Dither.NONE)


def save_png(figure: Figure, path: Path | str, dpi: int | None = None, colours: int = CHART_COLOURS) -> None:
    """The figure as a PNG file with a palette, at `PNG_DPI` or ``dpi``; equal figures give equal bytes."""
    dpi = dpi or PNG_DPI
    _drawn(figure, dpi, colours).save(path, format="png", optimize=True, dpi=(dpi, dpi))


def webp_bytes(picture: Figure | Image.Image) -> bytes:
    """A figure at `PAGE_DPI`, or a picture, as WebP without loss: the smallest that every browser shows."""
    image = _drawn(picture, PAGE_DPI, CHART_COLOURS) if isinstance(picture, Figure) else picture
    stream = io.BytesIO()
    image.convert("RGB").save(stream, format="webp", lossless=True, method=4, quality=75)
    return stream.getvalue()


def series_style(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each baseline, by its place in ``names``."""
    return {name: (SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}
