"""Writes the table of alarms.json into docs/frigate.md, between its ALARMS marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from quality_page import rows
from results import ROOT, load

PAGE = ROOT / "docs" / "frigate.md"
NAMES = ("difference", "MOG2")
LEAST_SECONDS = 60
"""Of less there is no rate."""

BEGIN, END = "<!-- ALARMS -->", "<!-- /ALARMS -->"


def lines(result: dict[str, Any]) -> Iterator[str]:
    """The table and what it is of."""
    detectors = [f"{name} {what}" for what in ("rings", "alarms an hour") for name in NAMES]
    table = [["scene", "rain", "version", *detectors, "people found again", "and more"]]
    for row in result["made"]:
        people = row["people"]
        again = f"{people['again']} of {people['of']}" if people else "-"
        rings = [f"{row['ringing'][name]:.0%}" for name in NAMES]
        is_long = row["seconds"] >= LEAST_SECONDS
        rings += [f"{row['alarms_an_hour'][name]:.0f}" if is_long else "-" for name in NAMES]
        table.append([row["scene"], row["rain"], row["version"], *rings, again, str(people["more"]) if people else "-"])
    yield from rows(table)
    if result["real"]:
        yield ""
        yield from rows(
            [["real rain", "version", "difference rings", "MOG2 rings"]]
            + [[row["clip"], row["version"], *(f"{share:.0%}" for share in row["ringing"].values())]
               for row in result["real"]]
        )  # fmt: skip
    yield ""
    counted = {row["scene"]: row["seconds"] for row in result["made"]}
    spans = " and ".join(f"{seconds:g} s in which {scene}" for scene, seconds in counted.items())
    how = f"at {result['size']} and {result['fps']} frames a second, by `{result['model']}`"
    yield f"Of {spans}, each in each rain, {how}."


def main() -> None:
    text = "\n".join([BEGIN, *lines(load("alarms")), END])
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: text, PAGE.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
