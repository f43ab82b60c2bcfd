"""A trunk becomes int8, after training: dense convolutions are rounded, to ranges that photos in the rain show.

Needs NNCF, which nothing else does, and no run: pip install nncf.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import openvino
import torch
from torch import Tensor

from streamderain.backends.openvino import converted
from streamderain.errors import TrainingError
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.alignment import medians
from streamderain.networks.drsformer.fused import fused
from streamderain.training.cache import AlignedWindows, Batch
from streamderain.training.material import Material
from streamderain.training.samples import RainySamples

IN_FLOAT = ("GroupConvolution", "MatMul", "MVN", "Multiply", "Divide", "ReduceSum")
"""OpenVINO's names of what stays as it is: depthwise convolutions, which int8 does not quicken, and normalisation and
the attention's products, which need the digits.
"""

ENTRY = "patch_embed"
"""The convolution that stays as it is too: it reads pictures, of which eight bits for all of -1..1 leave seven. In int8
it alone cost `fast` 0.09 dB of the 0.13 that all of them cost.
"""

SIDE = 192
"""Of a window in pixels; motion is looked for in it."""

SEED = 11


EXAMPLE_SIDE = 96
"""Height and width of the stem that a trunk is traced with; its layers are the same for every size."""


@torch.inference_mode()
def trunk_of(network: DRSformer) -> openvino.Model:
    """The trunk of `network`, fused, in float32: stems (1, C, H, W) of any size -> the answer, as `trunk` has it."""
    channels = network.patch_embed.proj.in_channels
    model = converted(fused(network), "trunk", torch.rand(1, channels, EXAMPLE_SIDE, EXAMPLE_SIDE))
    model.reshape([1, channels, -1, -1])
    return model


@torch.inference_mode()
def stems(network: DRSformer, photos: Sequence[Tensor], count: int) -> list[Tensor]:
    """What the trunk gets to see of `count` windows of training rain on `photos`, uint8 (3, H, W) of 192 pixels or
    more: float32 (1, C, h, w) each.
    """
    variant = network.variant
    samples = RainySamples(Material(photos, []), SIDE, variant.past, variant.future, SEED)
    windows = AlignedWindows(samples, variant.aligned)
    return [_stem(network, Batch.of(windows[number][0][None])) for number in range(count)]


def _stem(network: DRSformer, batch: Batch) -> Tensor:
    if not network.variant.aligned:
        return network.stem(batch.moved.flatten(1, 2))[0]
    return network.entry(batch.moved, medians(batch.moved, batch.resting, network.variant.past))[0]


def quantised(network: DRSformer, calibration: Sequence[Tensor], corrected: bool = True) -> openvino.Model:
    """The trunk of `network` in int8, for stems of any size; its ranges are those that `calibration`, stems, show.

    With `corrected`, biases make good what rounding moves in the mean, which takes most of the time.

    Raises TrainingError where NNCF is not installed.
    """
    # NNCF reports each use to its makers, but not from a build server.
    os.environ.setdefault("CI", "true")
    try:
        import nncf
    except ImportError as error:
        raise TrainingError("int8 needs NNCF; pip install nncf") from error
    nncf.set_log_level(logging.ERROR)
    model = trunk_of(network)
    entry = [each.get_friendly_name() for each in model.get_ops() if _is_entry(each)]
    return nncf.quantize(
        model,
        nncf.Dataset([stem.numpy() for stem in calibration]),
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(types=list(IN_FLOAT), names=entry, validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=not corrected),
    )


def _is_entry(operation: openvino.Node) -> bool:
    return operation.get_type_name() == "Convolution" and ENTRY in operation.get_friendly_name()
