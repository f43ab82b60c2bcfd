"""`streamderain judge`: which weights are better, on rain of every shape and on dry material."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamderain.cli.options import configured
from streamderain.config import JudgeConfig
from streamderain.errors import writing

if TYPE_CHECKING:
    from rich.table import Table

    from streamderain.evaluation.judge.verdict import Verdict


@configured(JudgeConfig)
def judge(
    weights: Annotated[list[str], typer.Argument(help="by name or file; the first is what the others must beat")],
    *,
    save: Annotated[Path | None, typer.Option("--json", help="also write the verdicts to this file")] = None,
    config: JudgeConfig,
) -> None:
    """Judge WEIGHTS on photos and a clip that no network learnt from: by how many dB each kind of rain is better off,
    in the mean and in the worst tenth, and what dry pictures suffer. See docs/judge.md.

    Of several, each is compared with the first.
    """
    from rich.console import Console

    from streamderain.evaluation.judge.judge import QUICK
    from streamderain.evaluation.judge.judge import judge as judged
    from streamderain.evaluation.judge.material import Material
    from streamderain.evaluation.judge.verdict import compare
    from streamderain.networks.restorer import Restorer

    console = Console()
    names = list(dict.fromkeys(weights))
    networks = {name: Restorer.load(name, config.device, config.backend, config.precision) for name in names}
    material = Material.read(config.photos, config.clip, config.held_out_photos)
    verdicts: dict[str, Verdict] = {}
    with console.status("judging") as status:

        def report(name: str, done: int, of: int) -> None:
            status.update(f"{name}: {done} of {of}")

        for name, network in networks.items():
            verdicts[name] = judged(network, material, QUICK if config.quick else 1, partial(report, name))
    console.print(_table(verdicts))
    if save:
        with writing(save):
            save.write_text(json.dumps({name: verdict.as_json() for name, verdict in verdicts.items()}) + "\n")
    for name in names[1:]:
        found = compare(verdicts[name], verdicts[names[0]])
        said = f"{name} is {'' if found.better else 'not '}better than {names[0]}: {'; '.join(found.reasons)}"
        console.print(said, soft_wrap=True, markup=False, highlight=False)


def _table(verdicts: Mapping[str, Verdict]) -> Table:
    from rich.table import Table

    shown = Table("cases", *verdicts, caption="PSNR on Y in dB: gains as mean / worst tenth, dry as mean / lowest")
    columns = [list(_rows(verdict)) for verdict in verdicts.values()]
    for row in zip(*columns, strict=True):
        shown.add_row(row[0][0], *(text for _, text, _ in row), end_section=row[0][2])
    return shown


def _rows(verdict: Verdict) -> Iterator[tuple[str, str, bool]]:
    """What it is, the figures, and whether a section ends."""
    gains = verdict.gains()
    for number, (name, gain) in enumerate(gains.items(), 1):
        yield f"{name} ({gain.cases})", f"{gain.mean:+.2f} / {gain.worst_tenth:+.2f}", number == len(gains)
    for axis, values in verdict.axes().items():
        for value, means in values.items():
            text = ", ".join(f"{kind} {mean:+.2f}" for kind, mean in means.items())
            yield f"{axis} {value:g}", text, value == max(values)
    dry = verdict.dry()
    for kind, harm in dry.items():
        yield f"dry, {kind} ({harm.cases})", f"{harm.mean:.1f} / {harm.lowest:.1f}", False
    yield "dry gate", "holds" if verdict.passes_gate else "FAILS", True
    for name, psnrs in verdict.look_alikes().items():
        yield name, ", ".join(f"{kind} {psnr:.1f}" for kind, psnr in psnrs.items()), False
