"""Asks a network every case, and scores what it makes of them.

The training calls this in its own process: `judge(Restorer(average, device, "torch"), material)`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from streamderain.errors import EvaluationError
from streamderain.evaluation.judge.cases import VERSION, Case, all_cases
from streamderain.evaluation.judge.material import PRESENT, Material, present, quantised
from streamderain.evaluation.judge.verdict import Score, Verdict
from streamderain.evaluation.metrics import luma, psnr
from streamderain.frames import Network

EQUAL_DB = 100.0
"""Where equal pictures end, in dB."""

QUICK = 7
"""Every so many cases for a quick look; it divides no axis of the grid, so that all of their values come up."""


def judge(
    network: Network, material: Material, every: int = 1, report: Callable[[int, int], None] = lambda done, of: None
) -> Verdict:
    """Ask `network` all cases, or every so many of each group; `report` gets how many are done, and of how many.

    Deterministic: the same windows for everybody, drawn case by case. Raises EvaluationError for an answer of another
    shape, or one that is no number.
    """
    cases, scores = all_cases(material, every), []
    for case in cases:
        scores.append(_asked(network, case, material))
        report(len(scores), len(cases))
    return Verdict(VERSION, material.digest, every, tuple(scores))


@torch.inference_mode()
def _asked(network: Network, case: Case, material: Material) -> Score:
    rainy, clean = case.draw(material)
    derained = _answer(network, rainy[: case.seen])
    if derained.shape != present(clean).shape or not bool(derained.isfinite().all()):
        raise EvaluationError(
            f"the network's answer to {case.group}, {case.name} is {tuple(derained.shape)} and not all numbers; "
            f"expected {tuple(present(clean).shape)} in 0..1"
        )
    truth = luma(present(clean))
    untouched, after = (min(EQUAL_DB, psnr(luma(each), truth)) for each in (present(rainy), quantised(derained)))
    return Score(case.group, case.kind, case.name, untouched, after, case.axes)


def _answer(network: Network, rainy: Tensor) -> Tensor:
    """A window, uint8 (T, 3, H, W), FRAMES or less of them, derained: (1, 3, H, W) float in 0..1, on the CPU.

    The nearest frames stand for those beyond the window.
    """
    wanted = range(PRESENT - network.past, PRESENT + network.future + 1)
    window = rainy[[max(0, min(number, len(rainy) - 1)) for number in wanted]]
    return network.restore(window[None].to(network.device).float() / 255).float().cpu()
