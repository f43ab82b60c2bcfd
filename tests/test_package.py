"""The wheel holds what a user needs and derains away from the checkout; the sdist is the checkout."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from streamderain.backends.table import BACKENDS, open_backend
from streamderain.errors import StreamderainError, WeightsError
from streamderain.networks import kin, weights

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "streamderain"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
MOST_BYTES = 30_000_000
SOME_SYSTEMS_ONLY = {"fcntl", "grp", "msvcrt", "posix", "pwd", "resource", "syslog", "termios", "winreg"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What a release is: the sdist, the wheel made of that, and the wheel made of the checkout beside it."""
    dated = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    build = [sys.executable, "-m", "build", ROOT, "--outdir"]
    folder, beside = (tmp_path_factory.mktemp(name) for name in ("dist", "beside"))
    subprocess.run([*build, folder], check=True, capture_output=True, env=dated)
    subprocess.run([*build, beside, "--wheel"], check=True, capture_output=True, env=dated)
    (sdist,), (wheel,), (again,) = folder.glob("*.tar.gz"), folder.glob("*.whl"), beside.glob("*.whl")
    return {"sdist": sdist, "wheel": wheel, "wheel of the checkout": again}


@pytest.fixture(scope="module")
def wheel(built: dict[str, Path]) -> Path:
    return built["wheel"]


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(file.read(name))


def derain_in(environment: Path, clip: Path, folder: Path) -> None:
    """Derain with the package of `environment`, started in a folder of its own, and check which one it was."""
    python = environment / "bin" / "python"
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        [python, "-c", "import streamderain; print(streamderain.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
        env=alone,
    )
    assert Path(found.stdout.strip()).is_relative_to(environment)
    command = [environment / "bin" / "streamderain", clip, "out.mp4", "--config", "quick", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, env=alone)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "out.mp4").stat().st_size > 1000


def files_under(folder: Path) -> set[str]:
    """Names of all files in a folder, as a wheel has them; what Python makes beside modules is none of them."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found}


def test_the_wheel_holds_the_package_and_the_presets_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    about = [name for name in names if ".dist-info/" in name]
    package = {f"streamderain/{name}" for name in files_under(PACKAGE)}
    presets = {f"streamderain/configs/{name}" for name in files_under(ROOT / "configs")}
    assert set(names) - set(about) == package | presets
    bundled = [f"weights/{name}.{ending}" for name in ("fast", "best", "picture") for ending in ("safetensors", "md")]
    bundled += ["weights/best.int8.zip", "weights/fast.int8.zip"]
    for needed in (*bundled, "configs/quick.yaml", "py.typed", "preview/page.html", "preview/stage.js"):
        assert f"streamderain/{needed}" in names
    assert any(name.endswith("licenses/LICENSE") for name in about)
    assert wheel.stat().st_size < MOST_BYTES


def test_a_wheel_is_the_same_whoever_builds_it_from_what(built: dict[str, Path]) -> None:
    assert built["wheel"].read_bytes() == built["wheel of the checkout"].read_bytes()


def test_the_sdist_is_what_git_knows(built: dict[str, Path]) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout of git")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    known = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    with tarfile.open(built["sdist"]) as file:
        packed = {member.name.partition("/")[2] for member in file.getmembers() if member.isfile()}
    assert packed - {"PKG-INFO"} == known
    assert built["sdist"].stat().st_size < MOST_BYTES


def test_the_wheel_says_whose_it_is_and_what_it_needs(metadata: Any) -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"- name: {metadata['Author']}\n" in citation
    assert f"version: {metadata['Version']}\n" in citation
    assert metadata["License-Expression"] == "Apache-2.0"
    assert all(re.fullmatch(r"\w+, https://\S+", url) for url in metadata.get_all("Project-URL"))
    oldest = metadata["Requires-Python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {oldest}" in metadata.get_all("Classifier")
    assert set(metadata.get_all("Provides-Extra")) == set(EXTRAS)


def sources() -> Iterator[tuple[Path, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, path.read_text()


def test_every_extra_is_asked_for_by_its_command_and_no_other() -> None:
    asked = {name for _, text in sources() for name in re.findall(r"pip install 'streamderain\[(\w+)\]'", text)}
    tabled = {row.install.partition("[")[2].rstrip("]") for row in BACKENDS if row.install.startswith("streamderain")}
    assert asked | tabled == EXTRAS.keys() - {"dev"}
    loose = re.compile(r"(?<!pip install ')streamderain\[\w+\]")
    assert {path.name for path, text in sources() if loose.search(text)} <= {"table.py"}


def _the_page() -> None:
    from streamderain.live.page import check_extra

    check_extra()


def _a_plot(name: str) -> Callable[[], None]:
    def draw() -> None:
        from streamderain.profiling.plot import check_plot

        check_plot(Path(name))

    return draw


def _a_log() -> None:
    from streamderain.training.plot import draw_log

    draw_log(Path("log.csv"), Path("log.png"))


def _an_export() -> None:
    from streamderain.networks.export import export

    export("fast", Path("net.onnx"), "onnx", overwrite=True)


def _in_a_bucket() -> None:
    from streamderain.batch.spread.places import files_below

    files_below("s3://bucket/day")


def _of_the_hub() -> None:
    weights.find("hub:somebody/net")


def _of_another_kind() -> None:
    kin.load({}, "net.pth", WeightsError("net.pth is none of ours"))


def _in_vapoursynth() -> None:
    sys.modules.pop("streamderain.vapoursynth", None)
    importlib.import_module("streamderain.vapoursynth")


def _a_backend(name: str, device: str) -> Callable[[], None]:
    def open_it() -> None:
        open_backend(SimpleNamespace(file=None), torch.device(device), name)  # type: ignore[arg-type]

    return open_it


@pytest.mark.parametrize(
    ("extra", "library", "use"),
    [
        *(("live", library, _the_page) for library in ("aiohttp", "aiortc", "prometheus_client", "pydantic")),
        ("plot", "matplotlib", _a_plot("fps.png")),
        ("plot", "plotly", _a_plot("fps.html")),
        ("plot", "matplotlib.figure", _a_log),
        ("onnx", "onnx", _an_export),
        ("onnx", "onnxruntime", _a_backend("onnx", "cpu")),
        ("hub", "huggingface_hub", _of_the_hub),
        ("ray", "fsspec", _in_a_bucket),
        ("ray", "s3fs", _in_a_bucket),
        ("spandrel", "spandrel", _of_another_kind),
        ("vapoursynth", "vapoursynth", _in_vapoursynth),
        ("tensorrt", "onnxruntime", _a_backend("tensorrt", "cuda")),
    ],
)
def test_what_is_missing_is_told_with_the_command_that_installs_it(
    extra: str,
    library: str,
    use: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(StreamderainError) as raised:
        use()
    assert f"pip install 'streamderain[{extra}]'" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def _needed(body: list[ast.stmt]) -> Iterator[str]:
    """What a module imports as it is loaded, whatever befalls."""
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (name.name for name in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield statement.module or ""


def test_no_module_needs_what_only_some_systems_have() -> None:
    """Windows lacks `resource` and `fcntl`; they are imported where their absence is borne."""
    found = {path.name: SOME_SYSTEMS_ONLY.intersection(_needed(ast.parse(text).body)) for path, text in sources()}
    assert not {name: modules for name, modules in found.items() if modules}


def test_the_installed_wheel_derains(wheel: Path, clip: Path, tmp_path: Path) -> None:
    """In an environment of its own that borrows the installed libraries, but not the checkout."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    target = ["--target", packages, "--no-deps", "--quiet", wheel]
    subprocess.run([sys.executable, "-m", "pip", "install", *target], check=True, capture_output=True)
    # A path file, not the packages folder itself, so that editable installs there are not followed.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    script = environment / "bin" / "streamderain"
    script.write_text(f"#!{environment}/bin/python\nfrom streamderain.cli import main\nmain()\n")
    script.chmod(0o755)
    derain_in(environment, clip, tmp_path)


@pytest.mark.slow
def test_the_wheel_installs_into_an_empty_environment(wheel: Path, clip: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = ["-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel]
    subprocess.run([environment / "bin" / "python", *install], check=True, capture_output=True)
    derain_in(environment, clip, tmp_path)


@pytest.mark.slow
def test_the_sdist_passes_tests_of_its_own(built: dict[str, Path], tmp_path: Path) -> None:
    """Those of its pages, samples, figures and layers, which read the most of what lies around the package."""
    with tarfile.open(built["sdist"]) as file:
        file.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    chosen = [f"tests/test_{name}.py" for name in ("benchmarks", "config", "docs", "layers", "samples")]
    run = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(
        run, cwd=folder, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder)}
    )
    assert done.returncode == 0, done.stdout[-2000:]
