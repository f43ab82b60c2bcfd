"""The script that makes releases, on a repository of its own."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.scripts import module_at

SCRIPT = Path(__file__).parent.parent / "scripts" / "release.py"
DAY = datetime.date(2031, 4, 5)
CHANGELOG = "# Changelog\n\n## 0.2.0 (unreleased)\n\n- Something new.\n\n## 0.1.0 (2030-01-01)\n\n- The first.\n"


@pytest.fixture(scope="module")
def script() -> Any:
    return module_at(SCRIPT)


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of which 0.1.0 has been released."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Someone")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "someone@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (tmp_path / "streamderain").mkdir()
    (tmp_path / "streamderain/__init__.py").write_text('"""A package."""\n\n__version__ = "0.1.0"\n')
    (tmp_path / "CITATION.cff").write_text("title: it\nversion: 0.1.0\ndate-released: 2030-01-01\nauthors: []\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    git(tmp_path, "tag", "--annotate", "v0.1.0", "--message", "0.1.0")
    return tmp_path


def test_a_release_dates_the_changelog_and_is_tagged(root: Path, script: Any) -> None:
    assert script.release(root, "0.2.0", DAY) == "v0.2.0"
    assert "## 0.2.0 (2031-04-05)\n\n- Something new.\n" in (root / "CHANGELOG.md").read_text()
    assert "## 0.1.0 (2030-01-01)" in (root / "CHANGELOG.md").read_text()
    assert '__version__ = "0.2.0"\n' in (root / "streamderain/__init__.py").read_text()
    citation = (root / "CITATION.cff").read_text()
    assert citation == "title: it\nversion: 0.2.0\ndate-released: 2031-04-05\nauthors: []\n"
    assert git(root, "rev-parse", "v0.2.0^{commit}") == git(root, "rev-parse", "HEAD")
    assert git(root, "log", "-1", "--format=%s") == "Release 0.2.0"
    assert not git(root, "status", "--porcelain")


@pytest.mark.parametrize(
    ("version", "change", "said"),
    [
        ("0.2", None, "expected three numbers"),
        ("0.1.0", None, "not after the last release, v0.1.0"),
        ("0.3.0", None, "says nothing under `## 0.3.0"),
        ("0.2.0", "CHANGELOG.md", "not clean"),
        ("0.2.0", "stray.txt", "not clean"),
    ],
)
def test_what_is_not_ready_is_not_released(
    root: Path, script: Any, version: str, change: str | None, said: str
) -> None:
    if change:
        (root / change).write_text("something else")
    before, state = git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain")
    with pytest.raises(script.Refused, match=said):
        script.release(root, version, DAY)
    assert (git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain")) == (before, state)
    assert git(root, "tag") == "v0.1.0"
