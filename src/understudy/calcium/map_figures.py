"""Maps of waves over receptor density and ER radius by the hybrid; arrays in, a PNG file out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from understudy.calcium.figure_files import part
from understudy.calcium.wave_figures import MAP_DPI, WIDE_IN
from understudy.report.style import BLUE, INK, MAP_COLOURS, MUTED, new_figure, save_png, soft_grid, styled

_MAPS = (
    ("speed_um_per_s", "Speed (µm/s)", "viridis", 1.0),
    ("peak_uM", "Peak (µM)", "magma", 1.0),
    ("duration_s", "Duration (ms)", "cividis", 1e3),
)
_BARE = "#dbdde0"


def wave_map(path: Path | str, found: Mapping[str, Any]) -> bool:
    """Speed, peak and duration of waves, and the hybrid's speed against that of the equations on a subset.

    Parameters
    ----------
    found : contents of the map's file; maps are (D, R) by density and ER radius.

    Returns
    -------
    Whether there was anything to draw.
    """
    if part(found, "speed_um_per_s") is None:
        return False
    wave = found["speed_um_per_s"] > 0
    density, radius = found["receptors_per_um2"], found["er_radius_um"]
    own = part(found, "equations") or {}
    with styled():
        figure = new_figure(WIDE_IN, 4.9 if "speed_um_per_s" in own else 2.4)
        shown = [entry for entry in _MAPS if entry[0] in found]
        cells = [*(figure.add_subplot(2, 2, n) for n in range(1, 5))] if own else list(figure.subplots(1, len(shown)))
        for axes, (name, words, colours, scale) in zip(cells, shown, strict=False):
            values = np.where(wave, scale * found[name], np.nan)
            known = values[np.isfinite(values)]
            norm = Normalize(*(np.quantile(known, (0.002, 0.998)) if known.size else (0.0, 1.0)))
            axes.set_facecolor(_BARE)
            axes.pcolormesh(radius, density, values, norm=norm, cmap=colormaps[colours], rasterized=True)
            if "flagged" in found and (found["flagged"] > 0).any() and not (found["flagged"] > 0).all():
                axes.contour(radius, density, (found["flagged"] > 0).astype(float), [0.5], colors="white", linewidths=1)
            bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, fraction=0.05, pad=0.02)
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize=7, length=2)
            bar.ax.yaxis.set_major_locator(MaxNLocator(5))
            axes.set_title(words, fontsize=9)
            axes.set_xlabel("ER radius (µm)", fontsize=8)
            axes.set_ylabel("Receptors per µm²", fontsize=8)
            axes.tick_params(labelsize=7.5)
        if "speed_um_per_s" in own:
            expected = np.asarray(own["speed_um_per_s"], dtype=float)
            hybrid = found["speed_um_per_s"][own["density"], own["radius"]]
            axes = cells[3]
            top = 1.06 * max(float(expected.max(initial=1.0)), float(hybrid.max(initial=1.0)))
            axes.plot([0, top], [0, top], color=MUTED, lw=0.9, zorder=1)
            axes.plot(expected, hybrid, "o", ms=4, color=BLUE, mec="white", mew=0.4, ls="none", zorder=2)
            one = (expected > 0) != (hybrid > 0)
            axes.plot(expected[one], hybrid[one], "o", ms=8, mfc="none", mec=INK, ls="none", zorder=3)
            axes.set(xlim=(-0.02 * top, top), ylim=(-0.02 * top, top))
            axes.set_xlabel("Speed with equations (µm/s)", fontsize=8)
            axes.set_ylabel("With the network (µm/s)", fontsize=8)
            axes.set_title(f"{len(expected)} of these cables with equations", fontsize=9)
            axes.tick_params(labelsize=7.5)
            soft_grid(axes)
        save_png(figure, path, dpi=MAP_DPI, colours=MAP_COLOURS)
    return True
