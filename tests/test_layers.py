"""Who may import whom: read from the syntax trees, so that the drawing in CONTRIBUTING.md stays true."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "streamderain"

ROWS = (
    ("__main__",),
    ("cli",),
    ("page",),
    ("training", "batch"),
    ("evaluation",),
    ("profiling", "doctor", "distributed", "serve"),
    ("run", "live", "vapoursynth"),
    ("parts",),
    ("carry",),
    ("engine",),
    ("config", "machine", "rain"),
    ("media", "stream", "networks", "preview"),
    ("backends",),
    ("temporal",),
    ("frames", "folders", "locks", "quantities"),
    ("errors",),
)
"""From top to bottom; a module imports from rows below its own, and from its own room."""

ROW_OF = {room: number for number, rooms in enumerate(ROWS) for room in rooms}
MAY_LOCK = (
    Path("engine/shared.py"),
    Path("backends/shapes.py"),
    Path("backends/graphs.py"),
    Path("media/sidedata.py"),
)
"""What many streams use at a time guards itself."""

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 80


def modules() -> list[Path]:
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    """`stream/channel.py` is in the room `stream`, `run.py` is one by itself."""
    return module.parts[0].removesuffix(".py")


def imported(tree: ast.AST, module: Path) -> Iterator[tuple[str, int]]:
    """The dotted name of everything that is imported anywhere, and the line."""
    package = ["streamderain", *module.parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            home = ".".join([*base, *([node.module] if node.module else [])])
            for name in node.names:
                yield f"{home}.{name.name}", node.lineno


def upward(tree: ast.AST, module: Path) -> Iterator[str]:
    own = room_of(module)
    if own == "__init__":
        return  # names everything, loads it on first use only
    if own not in ROW_OF:
        yield f"{module}: {own} stands in no row"
        return
    for name, line in imported(tree, module):
        parts = name.split(".")
        if parts[0] != "streamderain" or name == "streamderain.__version__":
            continue
        room = parts[1] if len(parts) > 1 else "__init__"
        if room != own and ROW_OF.get(room, -1) <= ROW_OF[own]:
            yield f"{module}:{line}: {own} imports {name}"


def outside_its_room(tree: ast.AST, module: Path) -> Iterator[str]:
    """Libraries that one room keeps for all."""
    own = room_of(module)
    for name, line in imported(tree, module):
        library = name.split(".")[0]
        if library == "av" and own != "media":
            yield f"{module}:{line}: av outside media"
        if library == "threading" and own not in ("stream", "preview") and module not in MAY_LOCK:
            yield f"{module}:{line}: threading outside stream and preview"
        if name == "torch.cuda.Stream" and module != Path("engine/lanes.py"):
            yield f"{module}:{line}: CUDA streams outside engine/lanes.py"
    if module != Path("engine/lanes.py"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.cuda.Stream":
                yield f"{module}:{node.lineno}: CUDA streams outside engine/lanes.py"
            if isinstance(node, ast.Attribute) and node.attr == "pin_memory":
                yield f"{module}:{node.lineno}: pinned memory outside engine/lanes.py"
            if isinstance(node, ast.keyword) and node.arg == "pin_memory":
                yield f"{module}:{node.lineno}: pinned memory outside engine/lanes.py"


def at_module_level(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run on import: all but what is inside functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_module_level(child)


def cv2_on_import(tree: ast.AST, module: Path) -> Iterator[str]:
    for node in at_module_level(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, line in imported(ast.Module([node], []), module):
                if name.split(".")[0] == "cv2":
                    yield f"{module}:{line}: cv2 is loaded on import"


def too_long(tree: ast.AST, module: Path, text: str) -> Iterator[str]:
    if (lines := len(text.splitlines())) > MOST_LINES:
        yield f"{module}: {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno
            if (lines := node.end_lineno - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION:
                yield f"{module}:{node.lineno}: {node.name} has {lines} lines"


def faults(module: Path, text: str) -> list[str]:
    tree = ast.parse(text)
    return [
        *upward(tree, module),
        *outside_its_room(tree, module),
        *cv2_on_import(tree, module),
        *too_long(tree, module, text),
    ]


@pytest.mark.parametrize("module", modules(), ids=str)
def test_the_module_keeps_to_its_row_and_size(module: Path) -> None:
    assert faults(module, (PACKAGE / module).read_text()) == []


@pytest.mark.parametrize(
    ("module", "text", "fault"),
    [
        ("networks/tiling.py", "from streamderain.media.pixels import layout_of", "networks imports"),
        ("backends/table.py", "from streamderain.networks.registry import runnable", "backends imports"),
        ("folders.py", "from streamderain.config import DerainConfig", "folders imports"),
        ("networks/tiling.py", "import streamderain.stream.channel as queue", "networks imports"),
        ("networks/tiling.py", "from ..stream import channel", "networks imports streamderain.stream.channel"),
        ("stream/channel.py", "def f():\n    from streamderain.config import build", "stream imports"),
        ("config.py", "from streamderain.run import derain", "config imports"),
        ("profiling.py", "import streamderain.serve", "profiling imports"),
        ("temporal/warping.py", "from streamderain.networks.tiling import padded", "temporal imports"),
        ("engine/engine.py", "from streamderain.run import derain", "engine imports"),
        ("frames.py", "from streamderain import derain", "frames imports"),
        ("errors.py", "from streamderain import Restorer", "errors imports streamderain.Restorer"),
        ("run.py", "import streamderain", "run imports"),
        ("helpers.py", "", "stands in no row"),
        ("run.py", "if True:\n    import av.error", "av outside media"),
        ("evaluation/metrics.py", "from av import open", "av outside media"),
        ("serve.py", "import threading", "threading outside"),
        ("run.py", "from threading import Thread", "threading outside"),
        ("run.py", "import torch\ntorch.cuda.Stream()", "CUDA streams outside"),
        ("stream/channel.py", "from torch.cuda import Stream", "CUDA streams outside"),
        ("training/trainer.py", "DataLoader(samples, pin_memory=True)", "pinned memory outside"),
        ("stream/channel.py", "data.pin_memory()", "pinned memory outside"),
        ("media/images.py", "import cv2", "cv2 is loaded"),
        ("media/images.py", "try:\n    from cv2 import imread\nexcept ImportError:\n    pass", "cv2 is loaded"),
        ("media/images.py", "class A:\n    import cv2", "cv2 is loaded"),
        ("media/images.py", "x = 1\n" * 401, "401 lines"),
        ("media/images.py", "def f():\n" + "    x = 1\n" * 80, "f has 81 lines"),
    ],
)
def test_a_made_up_fault_is_found(module: str, text: str, fault: str) -> None:
    (found,) = faults(Path(module), text)
    assert fault in found


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("run.py", "from streamderain.stream.pipeline import Pipeline\nfrom streamderain.config import build"),
        ("stream/channel.py", "from streamderain.stream.channel import Channel\nfrom . import batcher"),
        ("errors.py", "from streamderain import __version__"),
        ("engine/lanes.py", "import torch\ntorch.cuda.Stream()\ntorch.empty(1, pin_memory=True)"),
        ("media/source.py", "import av"),
        ("stream/channel.py", "import threading"),
        ("media/images.py", "def f():\n    import cv2"),
        ("media/images.py", "def f():\n" + "    x = 1\n" * 79),
    ],
)
def test_what_is_allowed_is_no_fault(module: str, text: str) -> None:
    assert faults(Path(module), text) == []


def needs(module: Path, text: str) -> set[str]:
    """The dotted names of this package's modules that a module loads when it is imported."""
    known = {".".join(("streamderain", *each.with_suffix("").parts)).removesuffix(".__init__") for each in modules()}
    loaded = (each for each in at_module_level(ast.parse(text)) if isinstance(each, ast.Import | ast.ImportFrom))
    names = [name for each in loaded for name, _ in imported(ast.Module([each], []), module)]
    return {part for name in names for part in (name, name.rpartition(".")[0]) if part in known and "." in part}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that need each other, or nothing."""
    left = dict(graph)
    while free := [name for name, needed in left.items() if not needed & left.keys() - {name}]:
        for name in free:
            del left[name]
    return sorted(left)


def test_no_module_needs_one_that_needs_it() -> None:
    graph = {}
    for module in modules():
        name = ".".join(("streamderain", *module.with_suffix("").parts)).removesuffix(".__init__")
        # What is for type checkers alone is not loaded.
        text = (PACKAGE / module).read_text().replace("if TYPE_CHECKING:", "def _():")
        graph[name] = needs(module, text)
    assert len(graph) > 150
    assert circle(graph) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_every_module_is_looked_at() -> None:
    found = set(modules())
    assert {Path("run.py"), Path("engine/lanes.py"), Path("networks/drsformer/network.py")} <= found


@pytest.mark.parametrize("module", ["streamderain", "streamderain.config", "streamderain.errors"])
def test_importing_it_loads_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'torch', 'numpy', 'av', 'cv2'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_the_public_names_are_there() -> None:
    import streamderain

    assert set(streamderain.__all__) <= set(dir(streamderain))
    for name in streamderain.__all__:
        assert getattr(streamderain, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = streamderain.nonsense


def test_public_names_stay_what_they_are_whatever_is_imported_when() -> None:
    """A module of the same name would take a function's place once somebody imports it."""
    import pkgutil

    import streamderain

    modules = {module.name for module in pkgutil.iter_modules(streamderain.__path__)}
    assert not modules & set(streamderain.__all__)
    assert callable(streamderain.derain)
    assert streamderain.derain is streamderain.derain
