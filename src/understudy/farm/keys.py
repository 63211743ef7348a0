"""The key of a stage: what shards and checkpoints may belong to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SHARD_SCHEMA = 1
"""Version of the frame and payload layout; part of every key."""


def stage_key(parameters: Mapping[str, Any], code: str, input_hashes: Mapping[str, str], seed: int | None) -> str:
    """The name under which results of exactly these parameters, code, inputs and seed are kept.

    Parameters
    ----------
    parameters : of this stage, JSON-serialisable (floats enter with all their digits).
    code : code fingerprint of the program.
    input_hashes : sha256 per input name.
    seed : root seed, or None where the stage draws nothing.

    Returns
    -------
    32 hexadecimal digits.
    """
    content = {
        "parameters": parameters,
        "code": code,
        "inputs": dict(input_hashes),
        "seed": seed,
        "schema": SHARD_SCHEMA,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
