"""Where networks run, and what makes their arithmetic repeatable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from understudy.errors import InputError

# cuBLAS is repeatable only with a fixed workspace, which it reads from the environment at its first use.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def choose_device(name: str) -> torch.device:
    """The device for ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.

    Raises
    ------
    InputError
        If a GPU is asked for and there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: found {name!r}; accepted are auto, cpu, cuda")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError(f"device: found cuda, but torch {torch.__version__} sees no GPU; accepted are cpu and auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@contextmanager
def repeatable(threads: int) -> Iterator[None]:
    """Deterministic kernels, ``threads`` CPU threads, full float32; the former state comes back afterwards."""
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    matmul = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    # The same switch as `use_deterministic_algorithms`, which imports torch's compiler: three seconds of every program.
    torch.set_deterministic_debug_mode("error")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = False
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = matmul


def device_facts(device: torch.device, threads: int) -> dict[str, str | int | bool | None]:
    """What a provenance record says about the device and its determinism."""
    gpu = device.type == "cuda"
    return {
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if gpu else None,
        "cuda": torch.version.cuda if gpu else None,
        "torch": torch.__version__,
        "threads": threads,
        "deterministic_algorithms": True,
        "tf32": False,
    }
