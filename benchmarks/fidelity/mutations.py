"""Files with changed bytes through `streamderain`: none may crash it, hang it or be answered by a traceback.

Each is told by its number alone: `mutations.py --from 17 --to 18` makes the 17th again. In parts, one after the other,
all of them: `mutations.py --to 500 --add`, `mutations.py --from 500 --add`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from command import FIRST_FRAME, QUICK, Done, run
from corpus import BROKEN, CASES, Case
from results import load, save

FOLDER = Path(__file__).parent

COUNT = 2000
MOST_SECONDS = 10
"""That a run may compute."""

MOST_WAITING = 60.0
"""Seconds of the wall clock in which it computes nothing like that: it waits for something that does not come."""

_LARGE = ("gbr-16.mkv", "pal.dv", "rgb-raw.avi")
_OUTPUTS = ("mkv", "mp4", "ts", "mov", "avi")


def sources() -> list[Case]:
    """What is changed: all that is whole, of whatever container and codec."""
    return [case for case in CASES if case not in BROKEN and case.name not in _LARGE]


def changed(data: bytes, number: int) -> bytes:
    """The bytes with up to eight changes, half of them near the beginning, where headers are."""
    chance, found = random.Random(number), bytearray(data)
    for _ in range(chance.randint(1, 8)):
        end = len(found) if chance.random() < 0.5 else min(len(found), 2048)
        at = chance.randrange(max(1, end))
        length = min(chance.choice((1, 1, 2, 4, 8, 64, 700)), len(found) - at)
        way = chance.choice(("other", "bits", "zero", "ones", "gone", "twice", "moved", "number", "cut"))
        if way == "other":
            found[at : at + length] = chance.randbytes(length)
        elif way == "bits":
            found[at] ^= 1 << chance.randrange(8)
        elif way == "zero":
            found[at : at + length] = bytes(length)
        elif way == "ones":
            found[at : at + length] = b"\xff" * length
        elif way == "gone":
            del found[at : at + length]
        elif way == "twice":
            found[at:at] = found[at : at + length]
        elif way == "moved":
            to = chance.randrange(len(found))
            found[to : to + length] = found[at : at + length]
        elif way == "number":
            found[at : at + 4] = chance.choice((1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 1 << 24)).to_bytes(4, "big")
        elif chance.random() < 0.3:
            del found[at:]
        if not found:
            return b""
    return bytes(found)


def fault(done: Done) -> str:
    """What is wrong with how the command ended, or nothing."""
    if done.hung:
        return f"hangs: {done.computed_seconds:.0f} s computed in {done.seconds:.0f} s"
    if done.code < 0 or done.code == 99:
        return f"dies by signal {-done.code}"
    if "Traceback" in done.said:
        return f"traceback: {done.said.splitlines()[-1]}"
    lines = [line for line in done.said.splitlines() if line != FIRST_FRAME]
    if done.code and not (lines and lines[-1].startswith("streamderain: ")):
        return f"says nothing: {lines[-1:]}"
    if done.code and ("unexpected" in lines[-1] or "StationError" in lines[-1]):
        return f"unforeseen: {lines[-1]}"
    return ""


def results(numbers: range, folder: Path) -> Iterator[tuple[int, str, Done]]:
    """Number, file and end of each."""
    cases = sources()
    for number in numbers:
        case = cases[number % len(cases)]
        whole = folder / case.name
        if not whole.exists():
            case.make(folder)
        ending = _OUTPUTS[number // len(cases) % len(_OUTPUTS)]
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / f"changed{whole.suffix}"
            source.write_bytes(changed(whole.read_bytes(), number))
            output = Path(temporary) / f"out.{ending}"
            done = run([str(source), str(output), *QUICK, "--crf", "30"], MOST_WAITING, MOST_SECONDS)
        yield number, f"{case.name} -> {ending}", done


def add(found: dict[str, Any]) -> None:
    """Write down what was `found`, with that of the numbers before, which stand in the file already."""
    if found["from"]:
        before = load("mutations", FOLDER)
        assert before["files"] == found["from"], f"{before['files']} are there; go on from there"
        found["ends"] = dict(Counter(before["ends"]) + Counter(found["ends"]))
        found["faults"] = before["faults"] + found["faults"]
        found["most_computed_seconds"] = max(before["most_computed_seconds"], found["most_computed_seconds"])
    del found["from"]
    save("mutations", found, FOLDER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--to", type=int, default=COUNT)
    parser.add_argument("--add", action="store_true", help="write down what comes of them")
    parser.add_argument("--folder", type=Path, help="where the whole files are kept")
    asked = parser.parse_args()
    ends: Counter[str] = Counter()
    faults, longest = [], 0.0
    folder = asked.folder or Path(tempfile.mkdtemp())
    try:
        for number, name, done in results(range(asked.first, asked.to), folder):
            found = fault(done)
            ends["whole" if done.code == 0 else "an error in one line"] += not found
            longest = max(longest, done.computed_seconds)
            if found:
                faults.append({"number": number, "file": name, "fault": found})
                print(number, name, found, flush=True)
    finally:
        if not asked.folder:
            shutil.rmtree(folder)
    print(dict(ends), len(faults), f"longest {longest:.1f} s")
    if asked.add:
        add({"from": asked.first, "files": asked.to, "ends": dict(ends), "faults": faults,
             "most_computed_seconds": longest})  # fmt: skip


if __name__ == "__main__":
    main()
