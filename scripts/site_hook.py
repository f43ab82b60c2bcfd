"""Lets the site show what lies outside of docs/: a link leads where it leads in the checkout."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
BESIDE = (
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/judge.json",
    "benchmarks/quality.md",
    "benchmarks/temporal.md",
    "configs/deploy/frigate/compose.yaml",
    "configs/grafana-dashboard.json",
    "configs/serve.yaml",
    "samples/README.md",
    "streamderain/weights/best.md",
    "streamderain/weights/fast.md",
    "streamderain/weights/picture.md",
)
"""Files of the checkout that are in the site too, under their own names."""

_LINK = re.compile(r"(\]\()([^)#:\s]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies beside docs/."""
    for name in BESIDE:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Lead each link to the page whose source it names."""
    places = {os.path.realpath(file.abs_src_path): file.src_uri for file in files if file.abs_src_path}
    source = Path(page.file.abs_src_path).parent

    def led(match: re.Match[str]) -> str:
        place = places.get(os.path.realpath(source / match[2]))
        start = os.path.dirname(page.file.src_uri) or "."
        return match[1] + (os.path.relpath(place, start) if place else match[2])

    return _LINK.sub(led, markdown)
