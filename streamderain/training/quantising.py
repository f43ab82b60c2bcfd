"""A network becomes int8, after training: dense convolutions are rounded, to ranges that photos in the rain show.

Needs NNCF, which nothing else does, and no run: pip install nncf.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence

import openvino
import torch
from torch import Tensor

from streamderain.backends.openvino import converted
from streamderain.errors import TrainingError
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.alignment import medians
from streamderain.networks.drsformer.of_codes import OfCodes
from streamderain.training.cache import AlignedWindows, Batch
from streamderain.training.material import Material
from streamderain.training.samples import RainySamples

IN_FLOAT = ("GroupConvolution", "MatMul", "MVN", "Multiply", "Divide", "ReduceSum", "Power", "Sqrt", "Subtract", "Add")
"""OpenVINO's names of what stays as it is: depthwise convolutions, which int8 does not quicken, normalisation and the
attention's products, which need the digits, and sums, which cost as much in float and would round what blocks pass on.
"""

OUTPUT, VOTE = "quick.output/", "quick.vote/"
"""In the names of the last convolutions. What comes behind them is the picture itself, which 8 bits of a sum would hold
to 48 dB. The first, whose answer is added to it, stays as it is too: in int8 it alone cost 0.027 of 0.035 dB.
"""

EXAMPLE_SIDE = 96
"""Height and width of the pictures that a network is traced with; its layers are the same for every size."""

SIDE = 192
"""Height and width of a window in pixels; motion is looked for in it."""

SEED = 11


@torch.inference_mode()
def codes_of_rain(network: DRSformer, photos: Sequence[Tensor], count: int) -> list[Tensor]:
    """What a network is given of `count` windows of training rain on `photos`, uint8 (3, H, W) of 192 pixels or more:
    uint8 (1, 3 * pictures, 192, 192) each, see `entry_of_codes`.
    """
    variant = network.variant
    samples = RainySamples(Material(photos, []), SIDE, variant.past, variant.future, SEED)
    windows = AlignedWindows(samples, follow=True)
    return [_codes(Batch.of(windows[number][0][None]), variant.past) for number in range(count)]


def _codes(batch: Batch, past: int) -> Tensor:
    pictures = torch.cat((batch.moved, medians(batch.moved, batch.resting, past)), dim=1)
    return (pictures * 255).round().clamp(0, 255).to(torch.uint8).flatten(1, 2)


@torch.inference_mode()
def of_codes(network: DRSformer) -> openvino.Model:
    """An aligned network in float32, as one function of codes of any size."""
    channels = 3 * network.variant.pictures
    example = torch.zeros(1, channels, EXAMPLE_SIDE, EXAMPLE_SIDE, dtype=torch.uint8)
    model = converted(OfCodes(network).eval(), "forward", example)
    model.reshape([1, channels, -1, -1])
    return model


def quantised(network: DRSformer, calibration: Sequence[Tensor]) -> openvino.Model:
    """`network` in int8; its ranges are those that `calibration`, codes, show.

    Raises TrainingError where NNCF is not installed, and for a network that is not aligned.
    """
    if not network.variant.aligned:
        raise TrainingError("int8 is for networks that are given aligned frames; this one has aligned: false")
    # NNCF reports each use to its makers, but not from a build server.
    os.environ.setdefault("CI", "true")
    try:
        import nncf
        from nncf.quantization.advanced_parameters import OverflowFix
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    except ImportError as error:
        raise TrainingError("int8 needs NNCF; pip install nncf") from error
    nncf.set_log_level(logging.ERROR)
    model = of_codes(network)
    output = {each.get_friendly_name() for each in _convolutions(model) if OUTPUT in each.get_friendly_name()}
    rounded = nncf.quantize(
        model,
        nncf.Dataset([codes.numpy() for codes in calibration]),
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.MIXED,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # Weights in 7 bits: processors without VNNI (all before 2019, many since) add pairs of products in 16 bits,
            # which 8 bits overflow.
            overflow_fix=OverflowFix.ENABLE,
            # Ranges up to the means of what the windows reach cost stills in downpours 0.9 dB.
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        ),
        ignored_scope=nncf.IgnoredScope(
            types=list(IN_FLOAT), names=sorted(output | _behind_the_last(model)), validate=False
        ),
    )
    _read_bytes_as_they_are(rounded)
    return rounded


def _behind_the_last(model: openvino.Model) -> set[str]:
    """The names of all operations that what the last convolutions answer goes through."""
    waiting = [
        each for each in _convolutions(model) if any(last in each.get_friendly_name() for last in (OUTPUT, VOTE))
    ]
    found: set[str] = set()
    while waiting:
        for output in waiting.pop().outputs():
            reached = [target.get_node() for target in output.get_target_inputs()]
            fresh = [each for each in reached if each.get_friendly_name() not in found]
            found.update(each.get_friendly_name() for each in fresh if each.get_type_name() != "Result")
            waiting += fresh
    return found


def _read_bytes_as_they_are(model: openvino.Model) -> None:
    """Take away what would round the bytes that come in to the brightest that calibration showed."""
    for convolution in _convolutions(model):
        rounding = convolution.input_value(0).get_node()
        if rounding.get_type_name() == "FakeQuantize" and _is_of_bytes(rounding):
            convolution.input(0).replace_source_output(rounding.input_value(0))


def _convolutions(model: openvino.Model) -> Iterator[openvino.Node]:
    return (each for each in model.get_ordered_ops() if each.get_type_name() == "Convolution")


def _is_of_bytes(rounding: openvino.Node) -> bool:
    scaled = rounding.input_value(0).get_node()
    return bool(scaled.get_type_name() == "Multiply" and scaled.input_value(0).get_node().get_type_name() == "Convert")
