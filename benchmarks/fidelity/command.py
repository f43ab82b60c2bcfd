"""The command `streamderain`, run in a fork of this process for each time: what takes seconds to load is there already.

The network is one that changes nothing, so that what comes out is what media/ makes of it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import resource
import select
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import streamderain
import streamderain.run  # for its libraries
from streamderain.cli import main

torch.set_num_threads(1)

QUICK = ("--model", "unchanged", "--backend", "torch", "--device", "cpu", "--precision", "float32", "--blend", "0",
         "--neighbours", "none")  # fmt: skip

_POLL_SECONDS = 0.01


FIRST_FRAME = "the first frame is derained"
"""What is said when that is so."""


class _Unchanged(nn.Module):
    said = True
    """Of all, as what runs is a copy of the one that was registered."""

    def forward(self, frames: Tensor) -> Tensor:
        # In the main thread it is tried, before the film is.
        if not _Unchanged.said and threading.current_thread() is not threading.main_thread():
            print(FIRST_FRAME, file=sys.stderr, flush=True)
            _Unchanged.said = True
        return frames.clone()


streamderain.register(_Unchanged().eval(), streamderain.Descriptor("unchanged"))


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code, or minus the signal that killed it; what it said; the seconds that it
    computed and lived. One that lived too long `hung`.
    """

    code: int
    said: str
    computed_seconds: float
    seconds: float
    hung: bool


def run(arguments: Sequence[str], most_seconds: float = 120.0, most_computed: int = 60,
        limits: Sequence[tuple[int, int]] = ()) -> Done:  # fmt: skip
    """Run `streamderain` with `arguments`; it is killed after `most_seconds`, or `most_computed` of them.

    `limits` are of setrlimit, for it alone.
    """
    # A pipe, as a file would be under the limits too.
    listens, speaks = os.pipe()
    began, hung, heard = time.monotonic(), False, b""
    child = os.fork()
    if not child:
        _become(arguments, speaks, [(resource.RLIMIT_CPU, most_computed), *limits])
    os.close(speaks)
    os.set_blocking(listens, False)
    ended = 0
    while not ended:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if not hung and time.monotonic() - began > most_seconds:
            hung = True
            os.kill(child, signal.SIGKILL)
        if not ended:
            select.select([listens], [], [], _POLL_SECONDS)
        with suppress(BlockingIOError):
            while said := os.read(listens, 1 << 16):
                heard += said
    os.close(listens)
    code = os.waitstatus_to_exitcode(status)
    hung = hung or code == -signal.SIGXCPU
    return Done(code, heard.decode(errors="replace"), usage.ru_utime + usage.ru_stime, time.monotonic() - began, hung)


def _become(arguments: Sequence[str], output: int, limits: Sequence[tuple[int, int]]) -> None:
    try:
        os.setsid()
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        sys.stdin = open(os.devnull)
        for kind, most in limits:
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
        _Unchanged.said = False
        sys.argv = ["streamderain", *arguments]
        main()
    finally:
        os._exit(99)
