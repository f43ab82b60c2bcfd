"""What a network has to beat does what its name says."""

from __future__ import annotations

from pathlib import Path

import torch

from streamderain.evaluation.baselines import MedianOfThree, Nothing
from streamderain.evaluation.methods import baselines
from streamderain.evaluation.pairs import Pair, PairSet
from streamderain.media.decoder import decode
from streamderain.media.source import open_source
from streamderain.run import derain

CPU = torch.device("cpu")


def test_nothing_does_nothing() -> None:
    pictures = torch.rand(4, 3, 5, 7)
    assert torch.equal(Nothing(CPU).restore(pictures[:, None]), pictures)


def test_the_median_is_that_of_each_frame_and_its_neighbours() -> None:
    windows = torch.rand(4, 3, 3, 5, 7)
    assert torch.equal(MedianOfThree(CPU).restore(windows), windows.median(dim=1).values)


def test_both_run_in_the_pipeline_like_a_network(clip: Path, tmp_path: Path) -> None:
    def frames(path: Path) -> list[torch.Tensor]:
        with open_source(path) as source:
            return [frame.data for frame in decode(source)]

    for baseline, most in ((Nothing(CPU), 0), (MedianOfThree(CPU), 12)):
        derain(clip, tmp_path / "out.mkv", network=baseline, encoder="ffv1", crf=None, overwrite=True, batch=5)
        pairs = zip(frames(clip), frames(tmp_path / "out.mkv"), strict=True)
        # The clip brightens by a code a frame, so the middle one of three is close to the one in the middle.
        assert max(int((one.int() - other.int()).abs().max()) for one, other in pairs) <= most


def test_only_the_median_leaves_stills_alone() -> None:
    assert [(method.name, method.for_stills) for method in baselines(CPU)] == [("nothing", True), ("median", False)]
    assert PairSet("one", (Pair("a.png", Path("a.png"), Path("b.png")),)).pairs[0].is_picture
