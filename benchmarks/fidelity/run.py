"""Runs the corpus through `streamderain`, and writes what came of it as corpus.json: `make fidelity`."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from command import FIRST_FRAME, QUICK, Done, run
from compared import Loss, losses
from corpus import CASES, Case
from making import ffmpeg
from results import load, save
from seen import Seen

FOLDER = Path(__file__).parent

KEPT, TOLD, SILENT, REFUSED, FAILED = "kept", "told", "silent", "refused", "failed"


def judged(case: Case, source: Seen, output: Path, reference: Seen) -> dict[str, Any]:
    """Run one, and say what came of it: `outcome`, what was `lost`, and what the run said before its first frame."""
    done = run([str(source.path), str(output), "--overwrite", "--strength", "0", *QUICK, *case.options.split()])
    before, _, _ = done.said.partition(FIRST_FRAME)
    row: dict[str, Any] = {"file": case.name, "output": output.suffix[1:], "theme": case.theme, "code": done.code,
                           "said": _lines(done.said.replace(f"{output.parent}/", ""))}  # fmt: skip
    if done.code:
        return row | _ended(case, done)
    lost = list(losses(source, Seen(output), reference, case.lossless))
    silent = [loss for loss in lost if not _is_told(loss, before, done.said)]
    outcome = SILENT if silent else TOLD if lost else KEPT
    return row | {
        "outcome": outcome,
        "lost": [f"{loss.what}: {loss.how}" for loss in lost],
        "silent": [f"{loss.what}: {loss.how}" for loss in silent],
    }


def _is_told(loss: Loss, before: str, said: str) -> bool:
    # That a source is damaged shows on the way.
    text = said if loss.what in ("frames", "times", "duration", "sync", "sound", "pixels") else before
    return any(word.lower() in text.lower() for word in loss.words)


def _ended(case: Case, done: Done) -> dict[str, Any]:
    is_orderly = done.code == 1 and not done.hung and "Traceback" not in done.said and "unexpected" not in done.said
    is_foreseen = is_orderly and (case.fails in done.said if case.fails else "does not fit" in done.said)
    return {"outcome": REFUSED if is_foreseen else FAILED, "lost": [], "silent": []}


def _lines(said: str) -> list[str]:
    return [line.removeprefix("streamderain: ") for line in said.splitlines() if line.startswith("streamderain: ")]


def results(cases: Sequence[Case], folder: Path) -> list[dict[str, Any]]:
    """A row for each file and output."""
    rows = []
    for case in cases:
        source = folder / case.name
        if not source.exists():
            case.make(folder)
        whole = reference = Seen(source)
        if case.reference:
            copy = folder / f"{source.stem}.reference.mkv"
            ffmpeg("-fflags +genpts -i {0} -map 0:v -map 0:a? -c copy", copy, source)
            reference = Seen(copy)
        for ending in case.outputs.split():
            output = folder / f"{source.stem}-of-{source.suffix[1:]}.{ending}"
            output.unlink(missing_ok=True)
            rows.append(judged(case, whole, output, reference))
            if rows[-1]["outcome"] in (SILENT, FAILED):
                print(rows[-1]["outcome"], case.name, ending, rows[-1]["silent"] or rows[-1]["said"], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of files, or of themes, whose results take the place of the last")
    parser.add_argument("--folder", type=Path, help="where files are kept")
    parser.add_argument("--results", type=Path, default=FOLDER, help="where they go")
    asked = parser.parse_args()
    cases = [case for case in CASES if not asked.names or {case.name, case.theme} & set(asked.names)]
    with tempfile.TemporaryDirectory() as temporary:
        rows = results(cases, asked.folder or Path(temporary))
    done = {(row["file"], row["output"]): row for row in rows}
    if asked.names and (asked.results / "corpus.json").exists():
        done = {(row["file"], row["output"]): row for row in load("corpus", asked.results)["rows"]} | done
    known = [(case.name, ending) for case in CASES for ending in case.outputs.split()]
    with contextlib.redirect_stdout(io.StringIO()):  # all of it is in the file
        save("corpus", {"rows": [done[each] for each in known if each in done]}, asked.results)
    print(dict(Counter(row["outcome"] for row in rows)))


if __name__ == "__main__":
    main()
