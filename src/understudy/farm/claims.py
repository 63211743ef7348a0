"""Blocks of cases claimed by exclusively created files, so that no busy rank has to answer.

MPI one-sided fetch-and-add stalls for as long as its target computes; creating a file does not. Claims belong to one
attempt: they die with it, while finished cases live on in the shards.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Block:
    """A fixed set of cases that one rank computes in one go.

    Attributes
    ----------
    index : stable number of the block, >= 0.
    cases : case numbers, >= 0.
    cost : expected effort in any unit, the same for all blocks.
    """

    index: int
    cases: tuple[int, ...]
    cost: float


def fixed_blocks(cases: Sequence[int], size: int, costs: Sequence[float] | None = None) -> list[Block]:
    """Consecutive cases in blocks of ``size``, whatever the number of ranks.

    Parameters
    ----------
    cases : case numbers, in order.
    size : cases per block, >= 1; the last block may be smaller.
    costs : expected effort per case; by default all cost the same.
    """
    if size < 1:
        raise ValueError(f"size: found {size}, accepted is at least 1")
    if costs is not None and len(costs) != len(cases):
        raise ValueError(f"costs: found {len(costs)} for {len(cases)} cases")
    blocks = []
    for index, start in enumerate(range(0, len(cases), size)):
        members = tuple(int(case) for case in cases[start : start + size])
        cost = float(len(members) if costs is None else sum(costs[start : start + size]))
        blocks.append(Block(index, members, cost))
    return blocks


def longest_first(blocks: Sequence[Block]) -> list[Block]:
    """Blocks by falling expected effort, equal ones by index: the long ones must not be left for the end."""
    return sorted(blocks, key=lambda block: (-block.cost, block.index))


def claims_folder(key_folder: Path, attempt: int) -> Path:
    """Where the claims of one attempt lie."""
    return key_folder / f"claims-{attempt:04d}"


def remove_claims(key_folder: Path) -> int:
    """Remove the claims of all attempts; the highest attempt number found, 0 if there was none."""
    highest = 0
    for folder in key_folder.glob("claims-*"):
        highest = max(highest, int(folder.name.removeprefix("claims-")))
        shutil.rmtree(folder)
    return highest


def claim(folder: Path, block: int) -> bool:
    """Claim a block; False if another rank has it."""
    try:
        descriptor = os.open(folder / str(block), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    os.close(descriptor)
    return True


def claimed_blocks(folder: Path, ordered: Sequence[Block]) -> Iterator[Block]:
    """Blocks that this rank gets, one by one, in the given order, until none is left."""
    taken: set[str] = set()
    for block in ordered:
        if str(block.index) in taken:
            continue
        if claim(folder, block.index):
            yield block
        else:
            # One listing instead of one refused creation per block that other ranks took meanwhile.
            taken = set(os.listdir(folder))
