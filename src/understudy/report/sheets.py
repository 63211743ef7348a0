"""The pictures that a study's drawing program was asked for: each is drawn, or becomes a line that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from understudy.provenance.job import Job
from understudy.report.style import MUTED, new_figure, save_png, styled

_WIDE_IN = 7.4


def unavailable(path: Path | str, words: str) -> None:
    """A sheet that says in words why there is no figure."""
    with styled():
        figure = new_figure(_WIDE_IN, 0.7)
        figure.text(0.5, 0.5, words, ha="center", va="center", fontsize=9, color=MUTED, wrap=True)
        save_png(figure, path)


class Sheets:
    """Names and temporary paths of the pictures, and which of them are drawn."""

    def __init__(self, this: Job, asked: Mapping[str, Path]):
        self._this, self._asked = this, asked
        self.drawn: list[str] = []

    def path(self, name: str) -> Path | None:
        """Where to draw a picture; None where it was not asked for."""
        if name not in self._asked:
            return None
        self.drawn.append(name)
        return self._this.temporary(name)

    def not_drawn(self, name: str) -> None:
        """There was nothing to draw after all."""
        self.drawn.remove(name)

    def finish(self) -> None:
        """Write a line in place of each picture that could not be drawn."""
        for name in sorted(set(self._asked) - set(self.drawn)):
            words = f"{name.replace('_', ' ')}: not drawn, this run has not the data"
            unavailable(self._this.temporary(name), words)
