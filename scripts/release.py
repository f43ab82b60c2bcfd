"""Makes a release of what is checked out: dates the changelog, commits, and tags it. Nothing is sent anywhere.

    python scripts/release.py 0.2.0

The version goes into streamderain/__init__.py and CITATION.cff; "(unreleased)" behind it in the
changelog becomes the day. Ends with one line where the tree is not clean, the version is not
after the last tag, or the changelog says nothing of it.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class Refused(Exception):
    """What keeps a release from being made, in one line."""


def release(root: Path, version: str, day: datetime.date) -> str:
    """Release the checkout at `root` as `version`, dated `day`; the tag's name. Raises Refused, and then nothing is
    changed.
    """
    new = _number(version)
    if _git(root, "status", "--porcelain"):
        raise Refused("the tree is not clean; commit or stash what is there")
    tags = [tag for tag in _git(root, "tag", "--list", "v*").splitlines() if VERSION.fullmatch(tag[1:])]
    if tags and new <= max(_number(tag[1:]) for tag in tags):
        raise Refused(f"{version} is not after the last release, {max(tags, key=lambda tag: _number(tag[1:]))}")
    changed = {
        "CHANGELOG.md": _dated((root / "CHANGELOG.md").read_text(), version, day),
        "CITATION.cff": _cited((root / "CITATION.cff").read_text(), version, day),
        "streamderain/__init__.py": _replaced(
            r'__version__ = ".*"', f'__version__ = "{version}"', (root / "streamderain/__init__.py").read_text()
        ),
    }
    for name, text in changed.items():
        (root / name).write_text(text)
    _git(root, "commit", "--quiet", "--message", f"Release {version}", "--", *changed)
    _git(root, "tag", "--annotate", f"v{version}", "--message", f"streamderain {version}")
    return f"v{version}"


def _number(version: str) -> tuple[int, ...]:
    found = VERSION.fullmatch(version)
    if not found:
        raise Refused(f"{version} is no version; expected three numbers, such as 0.2.0")
    return tuple(int(part) for part in found.groups())


def _dated(changelog: str, version: str, day: datetime.date) -> str:
    heading = f"## {version} (unreleased)"
    entries = changelog.partition(f"{heading}\n")[2].partition("\n## ")[0]
    if not entries.strip():
        raise Refused(f"CHANGELOG.md says nothing under `{heading}`; write what a user notices")
    return changelog.replace(heading, f"## {version} ({day.isoformat()})")


def _cited(citation: str, version: str, day: datetime.date) -> str:
    without = re.sub(r"^date-released:.*\n", "", citation, flags=re.MULTILINE)
    return _replaced(r"^version: .*$", f"version: {version}\ndate-released: {day.isoformat()}", without)


def _replaced(pattern: str, text: str, where: str) -> str:
    replaced, count = re.subn(pattern, text, where, count=1, flags=re.MULTILINE)
    if not count:
        raise Refused(f"there is no {pattern} to put the version at")
    return replaced


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"git {arguments[0]}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def main() -> None:
    """Release the checkout that this script is in."""
    parser = argparse.ArgumentParser(description="Date the changelog, commit, and tag.")
    parser.add_argument("version", help="three numbers, such as 0.2.0")
    version = parser.parse_args().version
    try:
        tag = release(Path(__file__).parent.parent, version, datetime.datetime.now(datetime.UTC).date())
    except Refused as refused:
        sys.exit(str(refused))
    print(f"{tag} is tagged; look at it, then push it")


if __name__ == "__main__":
    main()
