"""Inputs -> what came of each: who works, what is noted where, and the run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from streamderain.batch.spread.config import BatchConfig
from streamderain.batch.spread.devices import Devices
from streamderain.batch.spread.driver import Driver, Outcome, Standing, Workers
from streamderain.batch.spread.inputs import items_of
from streamderain.batch.spread.journal import Journal
from streamderain.batch.spread.places import HIDDEN, is_url
from streamderain.batch.spread.rays import Rays
from streamderain.batch.spread.tasks import Settings
from streamderain.errors import SinkError
from streamderain.folders import kept_in
from streamderain.machine import cores_here
from streamderain.networks.memory import FREE_SHARE, free_bytes
from streamderain.quantities import seconds


def derain_archive(
    inputs: Sequence[str], out: str, config: BatchConfig, report: Callable[[Standing], None] = lambda standing: None
) -> Iterator[Outcome]:
    """Derain what `inputs` stand for into the folder or below the URL `out`, and go on past what fails. What an earlier
    run of the same has done stays done.

    Raises SourceError where there is nothing to do, ConfigError where there is nobody to do it, and SinkError where it
    cannot be noted.
    """
    # Every run goes on with what is there, whether it is asked to or not.
    config = replace(config, resume=False)
    # Workers are in folders of their own.
    out = out if is_url(out) else os.path.abspath(out)
    if os.path.exists(config.model):
        config = replace(config, model=os.path.abspath(config.model))
    items = items_of(inputs, out)
    with Journal(config.journal or _journal_of(out)) as journal, _workers(config) as (workers, config):
        settings = Settings(out, config, seconds(config.part_length), config.cores)
        yield from Driver(items, settings, workers, journal).run(report)


def _journal_of(out: str) -> Path:
    if not is_url(out):
        return Path(out) / HIDDEN / "journal.jsonl"
    folder = kept_in("batch")
    if folder is None:
        raise SinkError("there is no folder to note in what is done; --journal FILE names a file")
    return folder / f"{hashlib.sha256(out.encode()).hexdigest()[:16]}.jsonl"


@contextmanager
def _workers(config: BatchConfig) -> Iterator[tuple[Workers, BatchConfig]]:
    """Who works, and the config with what that settles: device, cores and memory of each."""
    names = config.device_names
    if names:
        kind, count = names[0].partition(":")[0], len(names)
        cores = config.cores or max(1, cores_here() // count)
        memory = FREE_SHARE * free_bytes(torch.device("cpu")) / count / 2**30 if kind == "cpu" and count > 1 else 0.0
        with Devices(names, config.attempts) as devices:
            yield devices, replace(config, device=kind, cores=cores, memory=config.memory or memory)
    else:
        with Rays(config) as rays:
            memory = config.memory or (rays.memory() if rays.device == "cpu" else 0.0)
            yield rays, replace(config, device=rays.device, cores=rays.cores, memory=memory)
