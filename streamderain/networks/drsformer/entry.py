"""DRSformer as the registry has it: how its weights become a network, and what backends are given of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streamderain.backends.runnable import Descriptor, Runnable
from streamderain.errors import WeightsError, first_line
from streamderain.networks.drsformer.fused import fused, lowered
from streamderain.networks.drsformer.network import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.entry import Entry
from streamderain.temporal import motion


def load(state: Mapping[str, Tensor], source: str) -> DRSformer:
    """The network that `state` belongs to, without weights, on the device "meta".

    Raises WeightsError where there can be none; `source` says where from.
    """
    try:
        variant = Variant.of(state)
    except KeyError as error:
        raise WeightsError(f"{source} is not a DRSformer: {error.args[0]} is missing") from error
    except (ArithmeticError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"{source} is not a DRSformer: its tensors have shapes that none has ({error})") from error
    try:
        with torch.device("meta"):
            return DRSformer(variant)
    except (RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"{source} is not a DRSformer: there can be no {variant} ({first_line(error)})") from error


def runnable(network: DRSformer) -> Runnable:
    """What a backend is given of `network`."""
    variant = network.variant
    descriptor = Descriptor(
        "DRSformer",
        past=variant.past,
        future=variant.future,
        size_multiple=variant.size_multiple,
        lowers=True,
        pictures=variant.pictures if variant.aligned else 0,
        least_side=variant.least_side,
    )
    return Runnable(descriptor, network, None, fused, _with_kernels, lowered, _sources())


def _with_kernels(network: DRSformer) -> DRSformer:
    from streamderain.networks.drsformer.triton.blocks import with_kernels

    return with_kernels(network)


@cache
def _sources() -> tuple[Path, ...]:
    """All that is traced of a DRSformer."""
    return tuple(sorted((*Path(__file__).parent.glob("*.py"), *Path(motion.__file__).parent.glob("*.py"))))


def settings(network: DRSformer) -> dict[str, Any]:
    """What `DRSformer` is made of."""
    return {"variant": asdict(network.variant)}


ENTRY = Entry("DRSformer", DRSformer, "patch_embed.proj.weight", load, runnable, settings)
