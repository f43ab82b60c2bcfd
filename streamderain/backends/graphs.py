"""CUDA graphs: all kernels of a network as one launch, recorded for each shape; torch.compile, where it is asked for.

A small network is a thousand kernels of a few microseconds, which the processor cannot launch as fast as a GPU runs
them.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from streamderain.backends.eager import EagerBackend
from streamderain.backends.runnable import Fold, Runnable
from streamderain.backends.shapes import PerShape, Run
from streamderain.errors import DeviceError, first_line
from streamderain.folders import kept_in

logger = logging.getLogger(__name__)

WARM_UPS = 3
"""Passes before a recording, in which libraries choose their kernels and take their memory."""

Recorder = Callable[[Run, Tensor], Run]


class GraphsBackend:
    """A folded network on a GPU whose passes are recorded once for each shape and then replayed.

    Where a recording fails, the network runs layer by layer from then on, or where memory is short, for that shape
    alone; a warning says so.
    """

    takes_aligned = False

    def __init__(
        self,
        network: Runnable,
        device: torch.device,
        precision: str = "auto",
        compiled: bool = False,
        record: Recorder | None = None,
        fold: Fold | None = None,
        name: str = "graphs",
    ) -> None:
        self._eager = EagerBackend(network, device, precision, fold)
        self.precision = self._eager.precision
        self.name = "compiled" if compiled else name
        self._record = record or Recordings()
        self._recordings = PerShape(self._recording)
        if device.type == "cuda":
            # What float32 is left, such as the scores', in TF32: its rounding is that of the bfloat16 inputs or less.
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        if compiled:
            # Where compiled kernels outlive the process; the default is a temporary folder.
            if kept := kept_in("inductor"):
                os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(kept))
            self._eager.network.trunk = torch.compile(self._eager.network.trunk)  # type: ignore[method-assign]

    def __call__(self, stacked: Tensor) -> Tensor:
        """See Backend."""
        return self._recordings(stacked)

    def bytes_per_pixel(self) -> float:
        """See Backend."""
        return self._eager.bytes_per_pixel()

    def _recording(self, stacked: Tensor) -> Run:
        try:
            return self._record(self._eager, stacked)
        except torch.OutOfMemoryError:
            logger.warning("no memory is left to record a pass for pictures of %s, so it runs layer by layer",
                           "x".join(map(str, stacked.shape[:-3:-1])))  # fmt: skip
            return self._eager
        except RuntimeError as error:
            logger.warning("CUDA graphs cannot record this network, so it runs without: %s", first_line(error))
            self._record = lambda run, example: run
            return self._eager


def compiled(network: Runnable, device: torch.device, precision: str) -> GraphsBackend:
    """What torch compiles of the trunk, recorded."""
    return GraphsBackend(network, device, precision, compiled=True)


def of_kernels(network: Runnable, device: torch.device, precision: str) -> GraphsBackend:
    """Kernels of our own, recorded. Raises DeviceError for a network that has none."""
    if network.kernels is None:
        raise DeviceError(f"there are no kernels of our own for {network.descriptor.name}; try --backend graphs")
    return GraphsBackend(network, device, precision, fold=network.kernels, name="triton")


class Recordings:
    """Records on a GPU, all into one pool of memory: what is replayed in turns need not have its own."""

    def __init__(self) -> None:
        self._pool: Any = None
        self._replaying = threading.Lock()

    def __call__(self, run: Run, example: Tensor) -> Run:
        """What `run` does with tensors like `example`, recorded on its device and replayed on call, in one thread at a
        time.

        Raises RuntimeError where something in `run` cannot be recorded.
        """
        with self._replaying, torch.cuda.device(example.device):
            held = example.clone()
            for _ in range(WARM_UPS):
                run(held)
            graph = torch.cuda.CUDAGraph()
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            # In the stream that the caller computes in: torch's own for this is shared, and would hold what others do.
            # Other threads copy frames up and down meanwhile; only what this one does is recorded.
            here, default = torch.cuda.current_stream(), torch.cuda.default_stream()
            stream = None if here == default else here
            with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
                answer = run(held)

        def replay(stacked: Tensor) -> Tensor:
            with self._replaying:
                held.copy_(stacked)
                graph.replay()
                return answer.clone()

        return replay
