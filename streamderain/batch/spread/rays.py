"""Workers of a Ray cluster, or of a Ray on this machine alone: tasks run wherever there are cores and GPUs for them.

Ray starts processes, moves tasks, and starts one again whose process or machine died; results are a few numbers.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

from streamderain.batch.spread.config import BatchConfig
from streamderain.batch.spread.devices import NAP_SECONDS
from streamderain.batch.spread.tasks import Report, Task
from streamderain.batch.spread.work import run
from streamderain.errors import ConfigError, DeviceError, first_line, in_one_line
from streamderain.machine import cores_here
from streamderain.media.url import redacted

logger = logging.getLogger(__name__)

LEAST_ROOM = 16
"""Tasks under way at least: a cluster that grows does so by what waits."""

CORES_BESIDE_A_GPU = 4
"""For decoding and encoding."""

ALL_GPUS = {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}
"""Has a process see all GPUs of its machine: it outlives a task, and may be given another GPU with the next, while CUDA
does not look again which it may see.
"""

MEMORY_SHARE = 0.9
"""Of the memory that a worker's share of its machine comes to, what it takes."""


class Rays:
    """Workers of the cluster that `config.ray` names. `device` is the kind that all of them have: GPUs where there are
    any, unless the config names another; each has so many `cores`.

    Raises ConfigError where Ray is missing or not there, DeviceError where no machine has that many cores.
    """

    def __init__(self, config: BatchConfig) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError("batch needs Ray; pip install 'streamderain[ray]', or name --devices of this machine") \
                from error  # fmt: skip
        self._ray, self._attempts = ray, config.attempts
        self._folder: str | None = None
        self._tasks: dict[Any, Task] = {}
        self._connect(config.ray)
        self.device = self._device_of(config.device)
        self._gpus = config.gpus if self.device == "cuda" else 0
        self.cores = config.cores or (CORES_BESIDE_A_GPU if self._gpus else 1)
        self._remote = ray.remote(_run)

    def _connect(self, address: str) -> None:
        # Ray has signals answered in its own way; here Ctrl-C is an end in order.
        handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._init(address)
        except Exception as error:  # whatever it is, and there are many
            self._close()
            reason = in_one_line(error)[:200]
            raise ConfigError(
                f"no Ray answers at {address}: {reason}; start one (`ray start --head`), or take --ray local"
            ) from error
        finally:
            for each, handler in handlers.items():
                signal.signal(each, handler)

    def _init(self, address: str) -> None:
        # Nothing is told to others, and what workers print is in their reports.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address != "local":
            try:
                self._ray.init(address, **options)
                return
            except ConnectionError:
                if address != "auto":
                    raise
                logger.info("no Ray is known here; one is started for this run")
        # Sockets have names of a hundred letters at most, and no frame ever goes through Ray's store.
        self._folder = tempfile.mkdtemp(prefix="sd-", dir="/tmp" if os.path.isdir("/tmp") else None)
        self._ray.init("local", num_cpus=cores_here(), include_dashboard=False, object_store_memory=80 * 2**20,
                       _temp_dir=self._folder, **options)  # fmt: skip

    @property
    def room(self) -> int:
        """See Workers."""
        there = self._ray.cluster_resources()
        slots = there.get("GPU", 0) / self._gpus if self._gpus else there.get("CPU", 0) / self.cores
        return max(LEAST_ROOM, 2 * int(slots))

    def _device_of(self, wanted: str) -> str:
        if wanted == "auto":
            return "cuda" if self._ray.cluster_resources().get("GPU") else "cpu"
        # Ray says which of a machine's GPUs it is.
        return wanted.partition(":")[0]

    def memory(self) -> float:
        """GiB that a task on CPUs may take, so that all that a machine has room for fit into it; of the smallest."""
        machines = [each["Resources"] for each in self._ray.nodes() if each["Alive"]]
        shares = [each["memory"] * self.cores / each["CPU"] for each in machines if each.get("CPU", 0) >= self.cores]
        if not shares:
            raise DeviceError(f"no machine of this Ray has {self.cores} cores; let --cores be less")
        return MEMORY_SHARE * float(min(shares)) / 2**30

    def start(self, task: Task) -> None:
        """See Workers."""
        # What moves bytes alone leaves the GPU to others.
        gpus = self._gpus if task.kind in ("whole", "part") else 0
        options = {"num_gpus": gpus, "runtime_env": {"env_vars": ALL_GPUS}} if gpus else {}
        call = self._remote.options(
            name=task.name, num_cpus=self.cores, max_retries=self._attempts - 1, retry_exceptions=False, **options
        )
        self._tasks[call.remote(task)] = task

    def ended(self) -> list[tuple[Task, Report]]:
        """See Workers."""
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=NAP_SECONDS)
        return [(self._tasks.pop(each), self._report(each)) for each in ready]

    def _report(self, ended: Any) -> Report:
        try:
            report: Report = self._ray.get(ended)
            return report
        except self._ray.exceptions.RayError as error:
            line = redacted(first_line(error))[:200]
            return Report(None, f"its process or machine died {self._attempts} times: {line}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for each in self._tasks:
            self._ray.cancel(each, force=True)
        self._close()

    def _close(self) -> None:
        self._ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _run(task: Task) -> Report:
    """What Ray calls in a worker."""
    import ray

    device = own_device(ray.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    return run(replace(task, settings=replace(task.settings, device=device)))


def own_device(given: Sequence[int | str], visible: str) -> str:
    """The device that torch calls a worker's GPU, by the ids that Ray has `given` it and those that the machine's
    processes see, in the form of CUDA_VISIBLE_DEVICES; empty where it has none.
    """
    if not given:
        return ""
    seen = visible.split(",") if visible else []
    return f"cuda:{seen.index(str(given[0])) if str(given[0]) in seen else given[0]}"
