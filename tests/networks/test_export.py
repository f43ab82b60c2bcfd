from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain import __version__
from streamderain.backends import traced
from streamderain.backends.padding import padded
from streamderain.backends.traced import to_onnx, to_torchscript
from streamderain.errors import ExportError, WeightsError
from streamderain.networks import weights
from streamderain.networks.drsformer import DRSformer
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.export import export
from streamderain.networks.registry import runnable
from tests.networks.small import BARE, TINY, network

# Parts of the developer's set-up, and missing where a lent machine runs the tests marked cuda.
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

PUBLISHED = Variant(widths=(8, 16, 32, 64), blocks=(0, 0, 0, 1))
"""As the published network, with MEFC, but for its size."""

ALIGNED = replace(TINY, blocks=(0, 0, 1, 1), scale=2, past=2, future=2, dense=(1, 1), aligned=True)
MIRRORED = replace(BARE, scale=2, mirrored=True)

ROUNDING = 1e-5


def undecided(variant: Variant) -> DRSformer:
    """A random network; where it aligns, each pixel takes as much from its neighbours as from the current frame."""
    made = network(variant)
    if variant.aligned:
        made.vote.bias.zero_()
    return made


def clip(frames: int, height: int, width: int, seed: int = 0) -> Tensor:
    """A soft scene that moves by two pixels a frame, in a rain of noise: (frames, 3, H, W)."""
    random = torch.Generator().manual_seed(seed)
    soft = torch.rand(1, 3, 8, 8, generator=random)
    scene = F.interpolate(soft, (height, width + 2 * frames), mode="bicubic", align_corners=False)[0]
    moving = torch.stack([scene[:, :, 2 * number : 2 * number + width] for number in range(frames)])
    return (moving + 0.3 * torch.rand(frames, 3, height, width, generator=random) ** 8).clamp(0, 1)


def batch(variant: Variant, count: int, height: int, width: int) -> Tensor:
    """(count, 3 * frames, H, W)"""
    return torch.stack([clip(variant.frames, height, width, seed).flatten(0, 1) for seed in range(count)])


def derained(made: DRSformer, frames: Tensor) -> Tensor:
    return padded(made, frames, made.variant.size_multiple).clamp(0, 1)


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def answer(opened: onnxruntime.InferenceSession, frames: Tensor) -> Tensor:
    return torch.from_numpy(opened.run(["derained"], {"frames": frames.numpy()})[0])


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Variant], Path]:
    """The file of `undecided(variant)`, written once."""
    folder = tmp_path_factory.mktemp("onnx")

    @functools.cache
    def written(variant: Variant) -> Path:
        path = folder / str(hash(variant)) / "net.onnx"
        path.parent.mkdir()
        to_onnx(runnable(undecided(variant)), path, licence="Apache-2.0")
        return path

    return written


@pytest.mark.parametrize(
    ("variant", "sizes"),
    [
        (BARE, [(1, 16, 24), (2, 37, 50), (3, 64, 33), (1, 9, 9)]),
        (PUBLISHED, [(1, 40, 33), (2, 21, 48)]),
        (ALIGNED, [(1, 192, 208), (2, 201, 250)]),
        (MIRRORED, [(1, 16, 24), (2, 37, 50), (3, 64, 33)]),
    ],
    ids=["plain", "published", "aligned", "mirrored"],
)
def test_onnx_runtime_answers_as_the_network_at_any_size(
    variant: Variant, sizes: list[tuple[int, int, int]], onnx_file: Callable[[Variant], Path]
) -> None:
    made, path = undecided(variant), onnx_file(variant)
    opened = session(path)
    for count, height, width in sizes:
        frames = batch(variant, count, height, width)
        out = answer(opened, frames)
        assert out.shape == (count, 3, height, width)
        assert float((out - derained(made, frames)).abs().max()) < ROUNDING
    assert [file.name for file in path.parent.iterdir()] == ["net.onnx"]


def test_pictures_too_small_to_follow_motion_are_padded_to_where_it_can_be(
    onnx_file: Callable[[Variant], Path],
) -> None:
    made, opened = undecided(ALIGNED), session(onnx_file(ALIGNED))
    assert ALIGNED.least_side == 192
    for height, width in ((64, 300), (1, 1)):
        frames = batch(ALIGNED, 1, height, width)
        out = answer(opened, frames)
        # Mirrored as often as it takes, which torch's own padding does not.
        rows, columns = (_mirrored(length, -(-max(length, 192) // 16) * 16) for length in (height, width))
        expected = made(frames[:, :, rows][..., columns])[..., :height, :width].clamp(0, 1)
        assert float((out - expected).abs().max()) < ROUNDING


def _mirrored(length: int, padded_length: int) -> list[int]:
    there_and_back = [*range(length), *range(length - 2, 0, -1)]
    return [there_and_back[place % len(there_and_back)] for place in range(padded_length)]


def test_the_file_says_what_it_wants_and_whose_it_is(onnx_file: Callable[[Variant], Path]) -> None:
    described = onnx.load(onnx_file(BARE))
    onnx.checker.check_model(described)
    facts = {prop.key: prop.value for prop in described.metadata_props}
    expected = {"past": "0", "future": "0", "size_multiple": "8", "black": "0.0", "white": "1.0"}
    assert facts == expected | {"licence": "Apache-2.0", "streamderain": __version__}


STREAM = """
import sys
sys.modules["streamderain"] = None
import torch
file, clips, answers = sys.argv[1:]
torch._C._set_graph_executor_optimize(False)  # as ffmpeg does by default
extra = {"streamderain.json": ""}
network = torch.jit.load(file, _extra_files=extra)
# ffmpeg looks for the device there.
assert next(network.parameters()).device.type == "cpu"
with torch.no_grad():
    out = [[network(picture[None]) for picture in clip] for clip in torch.load(clips)]
assert all(each.is_contiguous() for clip in out for each in clip)
torch.save(([torch.cat(clip) for clip in out], extra["streamderain.json"]), answers)
"""


def streamed(file: Path, clips: list[Tensor]) -> tuple[list[Tensor], str]:
    """What the file answers to the frames of one clip after another, in a process that cannot import streamderain."""
    torch.save(clips, file.with_suffix(".in"))
    command = [sys.executable, "-c", STREAM, file, file.with_suffix(".in"), file.with_suffix(".out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=file.parent)
    assert done.returncode == 0, done.stderr
    answers: tuple[list[Tensor], str] = torch.load(file.with_suffix(".out"))
    return answers


def expected_of(made: DRSformer, pictures: Tensor) -> Tensor:
    """Each of `pictures` derained with those before it, and copies for those behind it, the first one forgotten."""
    variant, out = made.variant, []
    for number, picture in enumerate(pictures):
        seen = pictures[max(min(1, number), number - variant.past) : number]
        window = [*seen, *[picture] * (1 + variant.future)]
        window = [window[0]] * (variant.frames - len(window)) + window
        out.append(derained(made, torch.stack(window).flatten(0, 1)[None]))
    return torch.cat(out)


def test_torchscript_remembers_a_stream_until_the_size_changes(tmp_path: Path) -> None:
    made = undecided(ALIGNED)
    to_torchscript(runnable(made), tmp_path / "net.pt", licence="Apache-2.0")
    clips = [clip(4, 195, 205), clip(2, 205, 195, seed=1)]
    # ffmpeg asks for the size of the output with a picture of uninitialised memory.
    unclean = torch.cat((torch.full((1, 3, 195, 200), torch.nan), clip(2, 195, 200)))
    answers, said = streamed(tmp_path / "net.pt", [*clips, unclean])
    for out, pictures in zip(answers, clips, strict=False):
        assert float((out - expected_of(made, pictures)).abs().max()) < ROUNDING
    assert float((answers[2] - expected_of(made, unclean.nan_to_num()))[1:].abs().max()) < ROUNDING
    facts = json.loads(said)
    assert (facts["past"], facts["licence"]) == ("2", "Apache-2.0")


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:DeprecationWarning")
def test_torchscript_of_a_network_without_a_window_takes_several_pictures_too(tmp_path: Path) -> None:
    to_torchscript(runnable(network(BARE)), tmp_path / "net.pt")
    pictures = clip(3, 21, 30)
    out = torch.jit.load(tmp_path / "net.pt")(pictures)
    assert float((out - derained(network(BARE), pictures)).abs().max()) < ROUNDING


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:DeprecationWarning")
def test_fast_answers_alike_in_all_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert export("default", kind="onnx") == Path("fast.onnx")
    assert export("fast", Path("net.bin"), "torchscript") == Path("net.bin")
    made, pictures = weights.load("fast"), clip(5, 203, 210)
    opened = session(Path("fast.onnx"))
    out = answer(opened, pictures.flatten(0, 1)[None])
    assert float((out - derained(made, pictures.flatten(0, 1)[None])).abs().max()) < ROUNDING
    assert opened.get_modelmeta().custom_metadata_map["licence"].startswith("Apache-2.0; trained on ")
    stream = torch.jit.load("net.bin")
    with torch.jit.optimized_execution(False):
        out = torch.cat([stream(picture[None]) for picture in pictures[:3]])
    assert float((out - expected_of(made, pictures[:3])).abs().max()) < ROUNDING


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ExportError, match=f"^{missing} is missing; install the extra: pip install 'streamderain"):
        to_onnx(runnable(network(BARE)), tmp_path / "net.onnx")


@pytest.mark.parametrize("write", [to_onnx, to_torchscript])
def test_a_file_that_answers_otherwise_is_not_written(
    write: type[to_onnx], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net"
    path.write_text("an older one")
    monkeypatch.setattr(traced, "padded", lambda run, frames, multiple: padded(run, frames, multiple) + 0.01)
    with pytest.raises(ExportError, match=r"^the exported network is off by 0\.01 at 49x43, which is more than"):
        write(runnable(network(BARE)), path)
    assert path.read_text() == "an older one"


def test_what_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(ExportError, match=r"folder\.pt cannot be written: Is a directory"):
        to_torchscript(runnable(network(BARE)), tmp_path / "folder.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["folder.pt"]


def test_what_to_write_must_be_known_and_may_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"^nothing says what to write; end the name in .onnx or .pt, or use --onnx"):
        export("fast")
    with pytest.raises(ExportError, match=r"^net\.bin does not say what to write"):
        export("fast", Path("net.bin"))
    (tmp_path / "net.pt").touch()
    with pytest.raises(ExportError, match=r"net\.pt exists; --overwrite replaces it"):
        export("fast", tmp_path / "net.pt")
    with pytest.raises(WeightsError, match="no weights called fats"):
        export("fats", tmp_path / "net.pt", overwrite=True)
