"""Progress of training on standard error: what is trained, how far, and the time that remains."""

from __future__ import annotations

import sys
import time


class Progress:
    """Lines for a stage of several networks; a line at most every ``every_s`` seconds and one per finished network."""

    def __init__(self, label: str, networks: int, epochs: int, every_s: float = 10.0):
        self.label, self.networks, self.epochs, self.every_s = label, networks, epochs, every_s
        self.started = self.printed = time.monotonic()
        self.done = 0
        self.epochs_run = 0

    def epoch(self, name: str, epoch: int, fit_loss: float, stop_loss: float) -> None:
        """Report one epoch of the network ``name``."""
        self.epochs_run += 1
        now = time.monotonic()
        if now - self.printed < self.every_s:
            return
        self.printed = now
        left = (self.networks - self.done) * self.epochs - epoch
        remaining = (now - self.started) / self.epochs_run * left
        self._print(
            f"{name} ({self.done + 1} of {self.networks}), epoch {epoch} of {self.epochs}, loss {fit_loss:.4g}, "
            f"early stopping {stop_loss:.4g}, at most {remaining:.0f} s remain"
        )

    def finished(self, name: str, best_epoch: int, epochs: int, loss: float) -> None:
        """Report a finished network."""
        self.done += 1
        elapsed = time.monotonic() - self.started
        self._print(
            f"{name} done ({self.done} of {self.networks}) after {epochs} epochs, best {best_epoch} with loss "
            f"{loss:.4g}; {elapsed:.0f} s so far, "
            f"about {elapsed / self.done * (self.networks - self.done):.0f} s remain"
        )

    def _print(self, text: str) -> None:
        print(f"{self.label}: {text}", file=sys.stderr, flush=True)
