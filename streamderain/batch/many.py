"""Jobs -> what came of each, as a generator: networks are loaded once, and on past what fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from streamderain.batch.jobs import Job
from streamderain.carry import Progress
from streamderain.config import DerainConfig
from streamderain.engine.engine import load_network
from streamderain.errors import Stopped, StreamderainError, in_one_line
from streamderain.frames import Network
from streamderain.parts.journal import Journal
from streamderain.run import derain, with_model

logger = logging.getLogger(__name__)

Result = Literal["derained", "skipped", "failed", "stopped"]


@dataclass(frozen=True)
class Outcome:
    """What came of a job: `said` is why it was not derained, in one line."""

    job: Job
    result: Result
    frames: int = 0
    seconds: float = 0.0
    said: str = ""


def derain_many(
    jobs: Iterable[Job],
    config: DerainConfig,
    report: Callable[[Job, Progress], None] = lambda job, progress: None,
    network: Network | None = None,
) -> Iterator[Outcome]:
    """Derain one file after the other with `network`, or those that `config` stands for, each loaded for the first file
    that needs it.

    What fails is told, and the next one taken. An output that exists is skipped unless `config.overwrite`. Folders are
    made where they are missing. Ctrl-C within a file ends with that one, "stopped". Raises WeightsError or DeviceError
    where no network can be loaded.
    """
    loaded: dict[str, Network] = {}
    for job in jobs:
        if job.output.exists() and not config.overwrite and not (config.resume and Journal(job.output).exists):
            yield Outcome(job, "skipped", said=f"{job.output} exists; --overwrite replaces it")
            continue
        chosen = with_model(config, job.source, job.output)
        if network is None and chosen.model not in loaded:
            loaded[chosen.model] = load_network(chosen)
        outcome = _outcome(job, config, report, network or loaded[chosen.model])
        yield outcome
        if outcome.result == "stopped":
            return


def _outcome(job: Job, config: DerainConfig, report: Callable[[Job, Progress], None], network: Network) -> Outcome:
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        done = derain(job.source, job.output, config, lambda progress: report(job, progress), network)
    except Stopped as stopped:
        return Outcome(job, "stopped", said=str(stopped))
    except (StreamderainError, OSError) as error:
        return Outcome(job, "failed", said=in_one_line(error))
    except Exception as error:  # a fault of ours in one file is no reason to leave the others
        logger.debug("%s", job.source, exc_info=True)
        return Outcome(job, "failed", said=f"unexpected {type(error).__name__}: {in_one_line(error)}")
    return Outcome(job, "derained", done.frames, done.seconds)
