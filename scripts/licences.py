"""Writes docs/licences.md: the licences of all that streamderain needs, and of its extras, as installed here.

What is needed is followed from pyproject.toml through the metadata of what is installed, for this system and this
Python; what is missing here is named as such.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licences.md"
HEAD = """\
# Licences of what it needs

Made by `python scripts/licences.py` from the metadata of what is installed, on Linux with Python 3.11 and torch's build
for CPUs; nothing of it is bundled. streamderain itself is Apache-2.0. What metadata does not say:

- PyAV's wheels carry FFmpeg with x264 and x265, which makes their libraries GPL.
- OpenCV's and torch's wheels carry libraries of others, with notices beside them.
- On Linux, torch from pip's default index also brings NVIDIA's libraries for CUDA, which are proprietary.
- VapourSynth is LGPL-2.1 or later, ONNX Runtime for GPUs MIT, TensorRT NVIDIA's own.
- spandrel's architectures have licences of their own, all permissive: [own networks](own-network.md).
"""
SAID = re.compile(r"^License :: (?:OSI Approved :: )?(.*)$")
LONGEST = 60
"""A licence whose field is longer, or has more lines, is a whole text."""


def licence(package: metadata.PackageMetadata) -> str:
    """What a package says of its licence, in short."""
    if expression := package.get("License-Expression"):
        return str(expression)
    named = [found[1] for each in package.get_all("Classifier") or () if (found := SAID.match(each))]
    field = (package.get("License") or "").strip().splitlines()
    if len(field) == 1 and len(field[0]) <= LONGEST and field[0] not in ("UNKNOWN", "Dual License"):
        return str(field[0]).removeprefix("OSI Approved :: ")
    return ", ".join(named) or (field[0][:LONGEST] if field else "not stated")


def needed(requirements: Iterable[Requirement], found: dict[str, tuple[str, str]]) -> None:
    """Add to `found` name and licence of all that `requirements` need here, by canonical name."""
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            found[name] = (requirement.name, "not installed where this page was made")
            continue
        found[name] = (about["Name"], licence(about))
        needed(map(Requirement, metadata.requires(name) or ()), found)


def direct(wanted: Iterable[str]) -> Iterator[Requirement]:
    """What pyproject.toml names, for whatever system."""
    yield from (Requirement(each.partition(";")[0]) for each in wanted)


def rows(title: str, found: dict[str, tuple[str, str]]) -> Iterator[str]:
    """A table, in order of names."""
    yield f"\n## {title}\n\n| | |\n|---|---|"
    for _, (name, said) in sorted(found.items()):
        yield f"| {name} | {said.replace('|', ' ')} |"


def page() -> str:
    """All of docs/licences.md; what a first install brings is not named again below its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    always: dict[str, tuple[str, str]] = {}
    needed(direct(project["dependencies"]), always)
    lines = [HEAD.rstrip("\n"), *rows("Always", always)]
    for extra, wanted in project["optional-dependencies"].items():
        found = dict(always)
        needed(direct(wanted), found)
        more = {name: said for name, said in found.items() if name not in always}
        if extra != "dev" and more:
            lines += rows(f"`streamderain[{extra}]`", more)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
