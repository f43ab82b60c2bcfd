"""What spandrel knows runs by --model: small networks of its architectures, saved as their authors publish them.

Weights that the authors trained are not here, so what is asked is whether such a file answers as its own code does.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from streamderain.errors import WeightsError
from streamderain.networks import kin
from streamderain.networks.restorer import Restorer
from tests.networks.small import network, shaken


@pytest.fixture(autouse=True)
def spandrel(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library. Beside a torch from elsewhere torchvision cannot load its own operators, which no network here has;
    then it does without what it says of them.
    """
    if importlib.util.find_spec("spandrel") is None:
        pytest.skip("spandrel is not installed")
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        monkeypatch.setitem(sys.modules, "torchvision._meta_registrations", ModuleType("nothing"))
    return importlib.import_module("spandrel")


def nafnet() -> nn.Module:
    from spandrel.architectures.NAFNet import NAFNet

    return NAFNet(width=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1])


def restormer() -> nn.Module:
    pytest.importorskip("spandrel_extra_arches")
    from spandrel_extra_arches.architectures.Restormer import Restormer

    return Restormer(dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1, heads=[1, 2, 2, 4])


def mprnet() -> nn.Module:
    pytest.importorskip("spandrel_extra_arches")
    from spandrel_extra_arches.architectures.MPRNet import MPRNet

    return MPRNet(n_feat=8, scale_unetfeats=4, scale_orsnetfeats=4, num_cab=1)


def saved(module: nn.Module, path: Path, wrapper: str = "params", prefix: str = "") -> Path:
    state = {prefix + name: value for name, value in module.state_dict().items()}
    torch.save({wrapper: state, "iter": 400_000} if wrapper else state, path)
    return path


def first(answer: Any) -> Tensor:
    found: Tensor = answer[0] if isinstance(answer, list | tuple) else answer
    return found


@pytest.mark.parametrize(
    ("make", "wrapper", "prefix"),
    [
        (nafnet, "params", ""),
        (nafnet, "params_ema", "module."),
        (nafnet, "", ""),
        (restormer, "params", ""),
        (mprnet, "state_dict", "module."),
    ],
)
def test_a_published_file_answers_as_its_own_code(
    make: Callable[[], nn.Module], wrapper: str, prefix: str, tmp_path: Path
) -> None:
    module = shaken(make(), torch.float32)
    restorer = Restorer.load(str(saved(module, tmp_path / "net.pth", wrapper, prefix)), "cpu", "torch")
    pictures = torch.rand(2, 1, 3, 32, 48)
    # Laid out as the restorer does: other layouts add up in another order, with AVX2 alone 2e-5 apart.
    laid_out = pictures[:, 0].contiguous(memory_format=torch.channels_last)
    expected = first(module.to(memory_format=torch.channels_last)(laid_out)).clamp(0, 1)  # type: ignore[call-overload]
    assert expected.std() > 0.01
    torch.testing.assert_close(restorer.restore(pictures), expected, rtol=0, atol=1e-5)
    assert (restorer.past, restorer.future) == (0, 0)
    assert restorer.restore(torch.rand(1, 1, 3, 33, 45)).shape == (1, 3, 33, 45)


def test_other_backends_take_it(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    file = str(saved(shaken(nafnet(), torch.float32), tmp_path / "net.pth"))
    pictures = torch.rand(1, 1, 3, 32, 48)
    expected = Restorer.load(file, "cpu", "torch").restore(pictures)
    by_openvino = Restorer.load(file, "cpu", "openvino", "float32")
    assert by_openvino.backend.name == "openvino"
    torch.testing.assert_close(by_openvino.restore(pictures), expected, rtol=0, atol=1e-4)


def test_one_that_enlarges_is_refused(tmp_path: Path) -> None:
    from spandrel.architectures.Compact import Compact

    file = saved(Compact(num_feat=8, num_conv=1, upscale=2), tmp_path / "sr.pth")
    with pytest.raises(
        WeightsError, match=r"sr.pth is a RealESRGAN Compact with 3 channels in, 3 out, 2 times the size"
    ):
        Restorer.load(str(file), "cpu", "torch")


def test_what_nobody_knows_is_refused_as_before(tmp_path: Path) -> None:
    file = saved(nn.Linear(2, 2), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"is missing$"):
        Restorer.load(str(file), "cpu", "torch")
    broken = network()
    broken.output.weight.data[:] = torch.nan
    with pytest.raises(WeightsError, match="NaN"):
        Restorer.load(str(saved(broken, tmp_path / "nan.pth")), "cpu", "torch")


@pytest.mark.parametrize(
    ("fails", "message"),
    [
        (ImportError("no"), r"is missing; more kinds of networks: pip install 'streamderain\[spandrel\]'$"),
        (RuntimeError("operator x does not exist\n"), r"\(operator x does not exist\): install the torchvision that"),
    ],
)
def test_a_library_that_is_not_there_is_told(
    fails: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> ModuleType:
        raise fails

    file = saved(nafnet(), tmp_path / "net.pth")
    monkeypatch.setattr("streamderain.networks.kin.importlib.import_module", refuse)
    with pytest.raises(WeightsError, match=message) as caught:
        Restorer.load(str(file), "cpu", "torch")
    assert "\n" not in str(caught.value)
    assert "install" in kin.known()


def test_what_there_is_is_listed() -> None:
    assert {"NAFNet", "SCUNet", "FFTformer"} <= set(kin.known().split(", "))
