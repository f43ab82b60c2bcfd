"""The notebook runs from its first cell to its last, on the sample, on a CPU."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import av
import pytest

SAMPLES = Path(__file__).parent.parent / "samples"
NOTEBOOK = SAMPLES / "streamderain.ipynb"


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the notebook's cells of code say once they have run, in a folder with fourteen frames of the sample."""
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    client = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(SAMPLES.parent))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    shutil.copy(SAMPLES / "rainy-temple.mp4", tmp_path / "rainy.mp4")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells[3].source = notebook.cells[3].source.replace('end="1"', 'end="0.55"')
    asyncio.run(
        client.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).async_execute()
    )
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_the_notebook_runs(cells: list[Any], tmp_path: Path) -> None:
    with av.open(tmp_path / "clean.mp4") as file:
        assert sum(1 for _ in file.decode(video=0)) == 14
    assert cells[1].outputs[0].text.startswith("14 frames at ")
    for cell in cells[2:]:
        assert len(cell.outputs[-1].data["image/png"]) > 100_000


def test_what_is_kept_has_never_run() -> None:
    """No output of anybody's machine is in it."""
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
