"""Writes docs/fidelity.md from the JSON files beside it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from results import ROOT, load

FOLDER = Path(__file__).parent
PAGE = ROOT / "docs" / "fidelity.md"

Row = dict[str, Any]

OUTCOMES = ("kept", "told", "refused", "silent", "failed")

INTRODUCTION = """# The same file, minus the rain

Written by `make fidelity` from `benchmarks/fidelity/*.json`; nothing here is set by hand.

{files} small files are made with the system's ffmpeg, or changed by the byte, and run through `streamderain` with a
network that changes nothing, {outputs} times in all. What comes out is looked at with the system's ffprobe and ffmpeg
alone: frames, times, duration, sound bit by bit and in step, streams, languages, tags, chapters, side data, fields,
shape, colour tags and pixels. Where a source's clock is broken, what `ffmpeg -c copy` makes of it is the measure.

- **kept**: no difference was found.
- **told**: something is lost, and the run said so before its first frame (of what is damaged, when it met it).
- **refused**: the run ended in one line that says why, as nothing could be made of it, or not in that container.
- **silent**: something is lost and nothing was said. **failed**: the run ended otherwise. Both are faults.
"""

MARKS = {"kept": "kept", "told": "told", "refused": "refused", "silent": "**silent**", "failed": "**failed**"}


def table(cells: Iterable[Sequence[str]]) -> Iterator[str]:
    """In Markdown; the first row is its head."""
    for number, row in enumerate(cells):
        yield f"| {' | '.join(row)} |"
        if number == 0:
            yield "|---" * len(row) + "|"


def summary(rows: Sequence[Row]) -> Iterator[Sequence[str]]:
    """A row for each theme."""
    yield "theme", "files", *OUTCOMES
    themes = list(dict.fromkeys(row["theme"] for row in rows))
    for theme in [*themes, "all"]:
        own = [row for row in rows if theme in (row["theme"], "all")]
        counts = Counter(row["outcome"] for row in own)
        yield theme, str(len({row["file"] for row in own})), *(str(counts[each]) for each in OUTCOMES)


def files(rows: Sequence[Row]) -> Iterator[Sequence[str]]:
    """A row for each file."""
    yield "file", "into"
    for name in dict.fromkeys(row["file"] for row in rows):
        own = [row for row in rows if row["file"] == name]
        yield name, ", ".join(f"{row['output']} {MARKS[row['outcome']]}" for row in own)


def losses(rows: Sequence[Row]) -> Iterator[str]:
    """What is lost, and what the run said of it."""
    for row in rows:
        if row["outcome"] == "kept":
            continue
        said = "; ".join(_plain(line) for line in row["said"]) or "nothing"
        lost = f" Lost: {'; '.join(_plain(each) for each in row['lost'])}." if row["lost"] else ""
        yield f"- {row['file']} into {row['output']}, {MARKS[row['outcome']]}.{lost} Said: {said}."


def _plain(text: str) -> str:
    text = text.encode(errors="replace").decode()
    return "".join(f"\\{sign}" if sign in "*_<>|`[]" else sign for sign in text).rstrip(".")


def endurance(folder: Path) -> Iterator[str]:
    """What came of full disks, changed bytes and long runs, as far as it was measured."""
    if (folder / "mutations.json").exists():
        found = load("mutations", folder)
        ends = ", ".join(f"{count} {name}" for name, count in found["ends"].items())
        yield (
            f"- {found['files']:,} files with changed bytes, of all containers above: {ends}; "
            f"{len(found['faults'])} crashed, hung or met what was not foreseen. The longest took "
            f"{found['most_computed_seconds']:.1f} s of computing."
        )
        yield from (
            f"    - number {each['number']}, {each['file']}: {_plain(each['fault'])}" for each in found["faults"]
        )
    if (folder / "full_disk.json").exists():
        for row in load("full_disk", folder)["rows"]:
            faults = "; ".join(_plain(each) for each in row["faults"]) or "what is whole is kept, plays, and is told"
            what = f"A disk that is full at {row['points']} points of an output in .{row['output']}, by {row['by']}"
            yield f"- {what}: {faults}."
    if (folder / "memory.json").exists():
        found = load("memory", folder)
        for name, what, counts in (("one_run", "frames with sound", found["frames"]),
                                   ("many_files", "files one after the other", found["files"])):  # fmt: skip
            short, long = found[name]["rss_mib"]
            python = found[name]["python_mib"]
            yield (
                f"- Memory after {counts[1]:,} {what} against after {counts[0]:,}: {long:.1f} and {short:.1f} MiB, "
                f"{(long / short - 1) * 100:+.1f} %; of Python's own objects {python[1]:.1f} and {python[0]:.1f} MiB."
            )


def page(folder: Path) -> str:
    """The whole page."""
    found = load("corpus", folder)
    rows = found["rows"]
    head = INTRODUCTION.format(files=len({row["file"] for row in rows}), outputs=len(rows))
    more = list(endurance(folder))
    return "\n".join(
        [
            head,
            *table(summary(rows)),
            "",
            *(["## What it bears", "", *more, ""] if more else []),
            "## File by file",
            "",
            *table(files(rows)),
            "",
            "## What is lost, and what is said",
            "",
            *losses(rows),
            "",
            f"Machine: {found['machine']['processor']}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the results are")
    parser.add_argument("--page", type=Path, default=PAGE, help="what is written")
    asked = parser.parse_args()
    asked.page.write_text(page(asked.folder))


if __name__ == "__main__":
    main()
