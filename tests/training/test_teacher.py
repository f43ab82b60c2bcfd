"""Teacher: the picture to reach lies between what is clean and what another network makes of the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from streamderain.errors import TrainingError, WeightsError
from streamderain.networks.drsformer.network import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.training.cache import Batch
from streamderain.training.teacher import Teacher

SIDE = 32
CPU = torch.device("cpu")
TINY: dict[str, Any] = {"widths": (8, 16, 32, 64), "blocks": (1, 1, 1, 1), "mefc": False, "scale": 2}


def network(**settings: Any) -> DRSformer:
    torch.manual_seed(4)
    made = DRSformer(Variant(**TINY | {"past": 1, "future": 1} | settings)).eval()
    # One that changes what it is given, other than a new one, by about a tenth.
    torch.nn.init.normal_(made.output.weight, std=0.1)
    return made


def file_of(folder: Path, teacher: DRSformer) -> str:
    save_file(teacher.state_dict(), folder / "teacher.safetensors")
    return str(folder / "teacher.safetensors")


def window(frames: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(60, 200, (frames + 2, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_picture_to_reach_is_so_far_from_the_clean_one_to_the_answer(
    tmp_path: Path, share: float, aligned: bool
) -> None:
    given, larger = window(), network(aligned=aligned, widths=(16, 32, 64, 128))
    teacher = Teacher.called(file_of(tmp_path, larger), share, CPU, network(aligned=aligned))
    taught = teacher.taught(given)
    assert (taught.shape, taught.dtype) == (given.shape, torch.uint8)
    assert torch.equal(taught[:-1], given[:-1])
    answer = Batch.of(given[None]).derained_by(larger)[0].detach().clamp(0, 1) * 255
    assert (answer - given[-1]).abs().mean() > 5
    assert torch.allclose(taught[-1].float(), given[-1] + share * (answer - given[-1]), atol=0.51)


def test_a_picture_alone_is_taught_too(tmp_path: Path) -> None:
    alone = network(past=0, future=0)
    taught = Teacher.called(file_of(tmp_path, alone), 1.0, CPU, alone).taught(window(frames=1))
    assert not torch.equal(taught[-1], window(frames=1)[-1])


@pytest.mark.parametrize("other", [{"past": 0}, {"future": 2}, {"aligned": True}])
def test_a_teacher_of_other_windows_is_refused_in_words(tmp_path: Path, other: dict[str, Any]) -> None:
    path = file_of(tmp_path, network(**other))
    with pytest.raises(TrainingError, match=r"teacher.safetensors cannot teach here: .* reads 1 past and 1 future fr"):
        Teacher.called(path, 0.5, CPU, network())


def test_a_teacher_that_is_not_there_is_refused_in_words() -> None:
    with pytest.raises(WeightsError, match="nobody"):
        Teacher.called("nobody", 0.5, CPU, network())
