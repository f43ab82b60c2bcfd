"""The wheel holds what a user needs, and derains away from the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as a release is."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT], check=True, capture_output=True
    )
    (path,) = folder.glob("*.whl")
    return path


def derain_in(environment: Path, clip: Path, folder: Path) -> None:
    """Derain with the package of `environment`, started in a folder of its own, and check which one it was."""
    python = environment / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import streamderain; print(streamderain.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert Path(found.stdout.strip()).is_relative_to(environment)
    command = [environment / "bin" / "streamderain", clip, "out.mp4", "--config", "quick", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "out.mp4").stat().st_size > 1000


def test_the_wheel_holds_weights_presets_and_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    bundled = [f"weights/{name}.{ending}" for name in ("fast", "best") for ending in ("safetensors", "md")]
    for needed in (*bundled, "configs/quick.yaml", "py.typed", "preview/page.html", "preview/stage.js"):
        assert f"streamderain/{needed}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests", "samples")) for name in names)
    assert wheel.stat().st_size < 20e6


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
