"""Where action potentials start: the kind of compartment, and how far from the end of the axon."""

from __future__ import annotations

import numpy as np

from understudy.tms.compartments import Compartments


def distance_to_terminal(compartments: Compartments) -> np.ndarray:
    """Way from each compartment outwards to the nearest axon terminal, (M,) um; infinite where none is behind it."""
    distance = np.full(len(compartments), np.inf)
    distance[compartments.terminal] = 0.0
    # Children come after their parents.
    for m in range(len(compartments) - 1, 0, -1):
        parent = compartments.parent[m]
        way = distance[m] + compartments.path[m] - compartments.path[parent]
        distance[parent] = min(distance[parent], way)
    return distance
