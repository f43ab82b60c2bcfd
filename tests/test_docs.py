"""Pages say what is so: options, examples, messages, links, the tree; and the site is built of them."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import http.server
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import streamderain
from streamderain import errors
from streamderain.cli.app import app
from streamderain.config import JudgeConfig, LiveConfig, RainConfig, TrainConfig
from streamderain.errors import SourceError, StreamderainError
from streamderain.media.source import open_source
from tests.scripts import module_at

ROOT = Path(__file__).parent.parent
PACKAGE, DOCS = ROOT / "streamderain", ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md"), ROOT / "samples" / "README.md"])
TROUBLE = (DOCS / "troubleshooting.md").read_text()
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
FROM_ELSEWHERE = re.compile(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//(?!arxiv)[^>]*>")


def ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_reference_is_what_its_script_makes() -> None:
    made = module_at(ROOT / "scripts" / "cli_reference.py").page()
    assert (DOCS / "cli.md").read_text() == made, "run: make docs-pages"


def test_all_that_is_needed_is_there_with_its_licence() -> None:
    page = (DOCS / "licences.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: wanted for name, wanted in project["optional-dependencies"].items() if name != "dev"}
    for wanted in (project["dependencies"], *extras.values()):
        names = {canonicalize_name(Requirement(each).name) for each in wanted}
        assert names <= {canonicalize_name(name) for name in re.findall(r"^\| (\S+) \|", page, re.MULTILINE)}
    made = module_at(ROOT / "scripts" / "licences.py")
    for words, said in (
        ({"License-Expression": "MIT", "License": "other"}, "MIT"),
        (
            {"License": "BSD\nRedistribution and use", "Classifier": "License :: OSI Approved :: BSD License"},
            "BSD License",
        ),
        ({"License": "Apache 2.0"}, "Apache 2.0"),
        ({}, "not stated"),
    ):
        about = Message()
        for name, value in words.items():
            about[name] = value
        assert made.licence(about) == said


def sections() -> dict[str, str]:
    parts = re.split(r"^## `(.*)`$", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(
    ("command", "kind"), [("derain", LiveConfig), ("train", TrainConfig), ("rain", RainConfig), ("judge", JudgeConfig)]
)
def test_each_setting_is_in_the_reference(command: str, kind: Any) -> None:
    text = sections()[f"streamderain {command}"]
    for setting in dataclasses.fields(kind):
        if kind is LiveConfig or f"--{setting.name.replace('_', '-')} " in text:
            assert f"| `--{setting.name.replace('_', '-')}" in text


def commands(group: Any, name: str = "streamderain") -> Iterator[tuple[str, Any]]:
    yield name, group
    for word, inner in getattr(group, "commands", {}).items():
        yield from commands(inner, f"{name} {word}")


def test_no_command_and_no_option_is_missing() -> None:
    found = sections()
    known = dict(commands(typer.main.get_command(app)))
    assert found.keys() == known.keys()
    for name, command in known.items():
        wanted = {option for each in command.params for option in each.opts if option.startswith("--")}
        for option in wanted - {"--help", "--install-completion", "--show-completion"}:
            assert re.search(rf"\| `[^`]*{option}\b", found[name]), f"{name} {option}"


def examples() -> list[tuple[str, str]]:
    """Each command that a page shows in a block of shell, with the page it is on."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(ids(page), line.strip()) for line in lines if line.strip().startswith("streamderain ")]
    return found


@pytest.mark.parametrize(("page", "line"), examples())
def test_an_example_is_a_command_that_there_is(page: str, line: str) -> None:
    """Its words are taken by the command's own parser; nothing is run."""
    words = shlex.split(line, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    context = command.make_context("streamderain", words)
    while getattr(command, "commands", None) and (rest := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    assert context.params is not None


def test_there_are_examples_of_each_job() -> None:
    by_page = [page for page, _ in examples()]
    assert {"docs/file.md", "docs/live.md", "docs/archive.md", "docs/profile.md", "README.md"} <= set(by_page)
    assert len(by_page) > 40


def test_an_example_with_a_word_that_is_not_known_fails() -> None:
    with pytest.raises(Exception, match="--no-such-option"):
        test_an_example_is_a_command_that_there_is("", "streamderain in.mp4 out.mp4 --no-such-option")


def test_the_page_on_python_runs(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for its pictures, which are too many for a test."""
    shutil.copy(clip, tmp_path / "in.mp4")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    ran = 0
    for block in re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL):
        if "in.mp4" in block:
            (tmp_path / "out.mp4").unlink(missing_ok=True)
            exec(compile(block, "python.md", "exec"), {"streamderain": streamderain}, names)
            assert (tmp_path / "out.mp4").stat().st_size > 1000
            ran += 1
    assert ran >= 3
    assert names["done"].frames == 12


def kinds(of: type[StreamderainError] = StreamderainError) -> Iterator[type[StreamderainError]]:
    for kind in of.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from kinds(kind)


def test_each_kind_of_error_has_an_entry() -> None:
    assert {kind.__name__ for kind in kinds()} <= set(re.findall(r"^## (\w+)$", TROUBLE, re.MULTILINE))


def told() -> str:
    """All texts of the package, each on a line, a gap for what is filled in."""
    lines = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                lines.append("".join(str(v.value) if isinstance(v, ast.Constant) else " " for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                lines.append(node.value)
    return "\n".join(lines)


def test_each_message_that_is_explained_is_one_that_comes() -> None:
    texts = re.sub(r"[ ]+", " ", told())
    messages = re.findall(r"^\| `([^`]+)` \|", TROUBLE, re.MULTILINE)
    assert len(messages) > 25
    assert not [message for message in messages if message not in texts]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    assert not [link for link in LINK.findall(text) if not (page.parent / link).exists()]


def test_the_tree_names_what_there_is() -> None:
    """Each room stands in the tree of CONTRIBUTING.md, and no file that is not there."""
    tree = (ROOT / "CONTRIBUTING.md").read_text().partition("streamderain/\n")[2].partition("\nconfigs/")[0]
    starts = " ".join(line.strip().partition("  ")[0] for line in tree.splitlines())
    named = {word for word in starts.split() if word.endswith("/") or re.fullmatch(r"\w+\.\w+", word)}
    there = {path.name + "/" * path.is_dir() for path in PACKAGE.rglob("*")}
    assert not named - there
    rooms = {path.name + "/" * path.is_dir() for path in PACKAGE.iterdir()}
    assert not rooms - named - {"py.typed", "__pycache__/"}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 95


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2].partition("\ntheme:")[0]
    assert not [page.name for page in DOCS.glob("*.md") if not re.search(rf"[ ]{page.name}$", menu, re.MULTILINE)]


def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False, env=quiet)
    assert done.returncode == 0, done.stderr[-2000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 25
    assert "Restorer" in (tmp_path / "site" / "api.html").read_text()
    loaded = {match for page in pages for match in FROM_ELSEWHERE.findall(page.read_text())}
    assert not loaded


def test_the_workflow_calls_ci_run_on_three_systems() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["run"]
    assert {each.partition("-")[0] for each in job["strategy"]["matrix"]["os"]} == {"ubuntu", "macos", "windows"}
    assert job["steps"][-1]["run"].endswith(".ci/run")


def test_what_the_workflow_has_made_is_a_target() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    made = {word for job in jobs for word in re.findall(r"^make (.*)$", job["steps"][-1]["run"], re.MULTILINE)}
    assert made >= {"docs", "ray-test"}
    assert made <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_whoever_tells_of_a_fault_is_asked_what_the_machine_has() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/fault.yml").read_text())
    asked = {part["id"]: part["attributes"]["label"] for part in form["body"] if "id" in part}
    assert "streamderain doctor --json" in asked["doctor"]


def test_the_image_is_given_what_the_wheel_is_made_of() -> None:
    given = {line.lstrip("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"streamderain", "configs", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"} == given


def test_the_job_for_kubernetes_is_a_command_that_there_is() -> None:
    job, claim = yaml.safe_load_all((ROOT / "configs/deploy/kuberay.yaml").read_text())
    test_an_example_is_a_command_that_there_is("kuberay.yaml", job["spec"]["entrypoint"])
    cluster = job["spec"]["rayClusterSpec"]
    head, worker = (each["template"]["spec"] for each in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]))
    assert head["containers"][0]["image"] == worker["containers"][0]["image"]
    for pod in (head, worker):
        assert {each["name"] for each in pod["volumes"]} == {
            each["name"] for each in pod["containers"][0]["volumeMounts"]
        }
    assert head["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


@contextlib.contextmanager
def server() -> Iterator[tuple[int, list[str]]]:
    """A host on this machine, by its port, and what it was asked for."""
    asked: list[str] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.server_port, asked
        finally:
            listening.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
def test_a_playlist_on_this_machine_reaches_no_host(name: str, tmp_path: Path) -> None:
    """What SECURITY.md says."""
    with server() as (port, asked):
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:4", "#EXTINF:4,", f"http://127.0.0.1:{port}/a.ts", "#EXT-X-ENDLIST"]
        (tmp_path / name).write_text("\n".join(lines))
        with pytest.raises(SourceError), open_source(tmp_path / name):
            pass
    assert not asked
