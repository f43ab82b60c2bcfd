"""The mean of networks' weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from streamderain.errors import TrainingError
from streamderain.training.mean import are_alike, mean_of, write_mean


def test_each_counts_by_its_share_in_the_first_ones_dtype() -> None:
    states = [
        {"weight": torch.tensor([value], dtype=dtype), "window": torch.tensor([2, 2])}
        for value, dtype in ((1.0, torch.float16), (4.0, torch.float32), (9.0, torch.float64))
    ]
    mean = mean_of(states, (1, 2, 2))
    assert mean["weight"].dtype == torch.float16
    assert float(mean["weight"]) == pytest.approx((1 + 2 * 4 + 2 * 9) / 5, abs=0.01)
    assert torch.equal(mean["window"], torch.tensor([2, 2]))


def test_one_alone_is_itself() -> None:
    state = {"weight": torch.rand(3, 4).half()}
    assert torch.equal(mean_of([state], [0.3])["weight"], state["weight"])


@pytest.mark.parametrize(
    "other",
    [
        {"weight": torch.zeros(3), "window": torch.tensor([2, 2])},
        {"weight": torch.zeros(2), "window": torch.tensor([1, 3])},
        {"weight": torch.zeros(2)},
        {"other": torch.zeros(2), "window": torch.tensor([2, 2])},
    ],
)
def test_networks_of_other_shapes_have_no_mean(other: dict[str, torch.Tensor], tmp_path: Path) -> None:
    state = {"weight": torch.zeros(2), "window": torch.tensor([2, 2])}
    assert are_alike([state, state])
    assert not are_alike([state, other])
    for name, given in (("a", state), ("b", other)):
        save_file(given, tmp_path / f"{name}.safetensors")
    shares = {str(tmp_path / f"{name}.safetensors"): 1.0 for name in "ab"}
    with pytest.raises(TrainingError, match=r"a\.safetensors, .*b\.safetensors are of different shapes"):
        write_mean(shares, tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


def test_bundled_weights_are_called_by_their_names(tmp_path: Path) -> None:
    write_mean({"fast": 0.5}, tmp_path / "new" / "mean.safetensors")
    assert load_file(tmp_path / "new" / "mean.safetensors")["window"].tolist() == [2, 2]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mean.safetensors"]
