"""argv -> config -> one call -> exit code; no other logic.

Rooms that load torch are imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar, get_type_hints

import typer
from typer.core import TyperGroup

from streamderain import __version__
from streamderain.config import DerainConfig, RainConfig, TrainConfig, build
from streamderain.errors import ConfigError, Stopped, StreamderainError

if TYPE_CHECKING:
    from rich.table import Table

    from streamderain.evaluation.evaluate import Score
    from streamderain.run import Progress

C = TypeVar("C", DerainConfig, TrainConfig, RainConfig)

INTERRUPTED = 130
_DEFAULT_COMMAND = "derain"
MOST_ROWS = 12
"""A set with more pairs than this shows its mean alone."""


class _BareForm(TyperGroup):
    """A group in which `INPUT OUTPUT` without a command means `derain INPUT OUTPUT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front of arguments that begin with none."""
        own = {"--help", "--version", "--install-completion", "--show-completion"}
        if args and args[0] not in self.commands and args[0] not in own:
            args = [_DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_BareForm,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Remove rain from video.\n\nstreamderain INPUT OUTPUT derains a file; its options: streamderain derain --help",
    epilog="Add --debug to any command for the whole traceback of an error.",
)
models_app = typer.Typer(help="List known weights, or add some.", invoke_without_command=True)
app.add_typer(models_app, name="models")


def _options(
    kind: type[DerainConfig | TrainConfig | RainConfig], names: tuple[str, ...] | None = None
) -> list[inspect.Parameter]:
    """A command-line option for each setting of a config, None where it is not given."""
    hints = get_type_hints(kind)
    options = []
    for setting in dataclasses.fields(kind):
        if names is not None and setting.name not in names:
            continue
        hint: Any = hints[setting.name]
        flag = "--" + setting.name.replace("_", "-")
        shown = "" if setting.default in (None, False, (), dataclasses.MISSING) else f" [default: {setting.default}]"
        declared = typer.Option(flag, help=setting.metadata["help"] + shown, show_default=False)
        is_many = getattr(hint, "__origin__", None) in (tuple, dict)
        annotation: Any = Annotated[list[str] | None if is_many else hint | None, declared]
        options.append(
            inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )
    return options


def _configured(kind: type[C], *names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that takes `config` the options that make one: those of `kind`, --config and --set."""
    preset = Annotated[str | None, typer.Option("--config", help="a preset by name, or a YAML file")]
    sets = Annotated[list[str] | None, typer.Option("--set", help="any setting as key=value; may be repeated")]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own: list[inspect.Parameter] = [
            parameter.replace(annotation=get_type_hints(command, include_extras=True)[parameter.name])
            for parameter in inspect.signature(command).parameters.values()
            if parameter.name != "config"
        ]
        options: list[inspect.Parameter] = _options(kind, names or None)
        more: list[inspect.Parameter] = [
            inspect.Parameter("preset_name", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=preset),
            inspect.Parameter("sets", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=sets),
        ]

        def run(preset_name: str | None, sets: list[str] | None, **given: Any) -> None:
            settings = {option.name: _parsed(kind, option.name, given.pop(option.name)) for option in options}
            command(config=build(kind, preset_name, tuple(sets or ()), **settings), **given)

        parameters = [*own, *options, *more]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _parsed(kind: type[DerainConfig | TrainConfig | RainConfig], name: str, value: Any) -> Any:
    """A repeated option as the tuple or dict that its setting holds; None when it was not given."""
    if not isinstance(value, list):
        return value
    if not value:
        return None
    if getattr(get_type_hints(kind)[name], "__origin__", None) is tuple:
        return tuple(int(each) if each.isdigit() else each for each in value)
    pairs = [text.partition("=") for text in value]
    for text, (_, equals, _) in zip(value, pairs, strict=True):
        if not equals:
            raise ConfigError(f"--{name.replace('_', '-')} {text} has no value; expected key=value")
    return {key: each for key, _, each in pairs}


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Only holds what belongs to no command."""


@app.command(_DEFAULT_COMMAND)
@_configured(DerainConfig)
def _derain(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="a video file")],
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="the file to write; its ending says the format")],
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON, nothing else.")] = False,
    config: DerainConfig,
) -> None:
    """Derain INPUT into OUTPUT; the word `derain` may be left out."""
    from streamderain.run import derain

    if quiet or as_json:
        logging.getLogger("streamderain").setLevel(logging.ERROR)
    with _progress_bar(shown=sys.stderr.isatty() and not quiet and not as_json) as report:
        done = derain(source, output, config, report)
    if as_json:
        stations = [dataclasses.asdict(station) for station in done.stations]
        summary = {
            "output": output,
            "frames": done.frames,
            "seconds": done.seconds,
            "fps": done.frames_per_second,
            "delay_frames": done.delay_frames,
        }
        print(json.dumps({**summary, "stations": stations}))
    elif not quiet:
        pace = f"{done.frames} frames in {done.seconds:.1f} s, {done.frames_per_second:.2f} fps"
        print(f"{output}: {pace}, slowest station: {done.slowest.name}, delay: {done.delay_frames} frames")


@contextmanager
def _progress_bar(shown: bool) -> Iterator[Callable[[Progress], None]]:
    if not shown:
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames  {task.fields[fps]:.1f} fps  ETA"),
        TimeRemainingColumn(),
        TextColumn("slowest: {task.fields[slowest]}"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, fps=0.0, slowest="-")

        def report(progress: Progress) -> None:
            pace, slowest = progress.frames_per_second, progress.slowest.name
            bar.update(task, completed=progress.frames, total=progress.expected, fps=pace, slowest=slowest)

        yield report


@app.command("evaluate")
@_configured(DerainConfig, "device", "batch", "neighbours", "blend", "strength")
def _evaluate(
    rainy: Annotated[Path, typer.Argument(help="a video, a folder of pictures or videos, or a folder of sets")],
    clean: Annotated[Path | None, typer.Argument(help="the same without rain, under the same names")] = None,
    *,
    model: Annotated[list[str] | None, typer.Option(help="weights by name or file; may be repeated")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="only look at the first frames of videos")] = None,
    save: Annotated[Path | None, typer.Option("--json", help="also write the scores to this file")] = None,
    plot: Annotated[Path | None, typer.Option(help="a folder for a temporal profile of each video and method")] = None,
    still: Annotated[bool, typer.Option("--still", help="no CLEAN: a median over time stands in for it")] = False,
    config: DerainConfig,
) -> None:
    """Derain RAINY and score it against CLEAN: PSNR and SSIM on Y, of each model (all bundled ones where none
    is named), of doing nothing, and for videos of a median of three frames. Of videos also how they flicker.

    A folder alone is judged set by set: the folders in it that hold rainy/ and clean/, and videos NAME.mp4
    beside NAME-clean.mp4. With --still, RAINY is a video, or a folder of them, of a camera that hardly moves; up to
    100 frames of it are held in memory, and judged where nothing moves.
    """
    from rich.console import Console

    from streamderain.evaluation.evaluate import evaluate, write_json
    from streamderain.evaluation.methods import every_method
    from streamderain.evaluation.pairs import find_sets
    from streamderain.evaluation.still import evaluate_still, find_videos

    console = Console()
    judged = partial(evaluate_still, find_videos(rainy, clean)) if still else partial(evaluate, find_sets(rainy, clean))
    methods = every_method(model or (), config)
    with console.status("evaluating") as status:

        def report(score: Score) -> None:
            status.update(f"{score.set}, {score.name}, {score.method}: {score.psnr:.2f} dB")

        scores = judged(methods, report, frames, plot)
    console.print(_score_table(scores, [method.name for method in methods]))
    if save:
        write_json(save, scores)


def _score_table(scores: list[Score], methods: list[str]) -> Table:
    """A row for each pair and the mean of its set; of large sets the mean alone."""
    from rich.table import Table

    from streamderain.evaluation.evaluate import MEAN, table

    shown = Table("set", "name", *methods, caption="PSNR in dB / SSIM, on Y; flicker in codes, tOF in px")
    for set_name, items in table(scores).items():
        for name, row in items.items():
            if name != MEAN and len(items) > MOST_ROWS:
                continue
            label = f"{MEAN} of {len(items) - 1}" if name == MEAN else name
            cells = (row[key].lines() if key in row else "-" for key in methods)
            shown.add_row(set_name, label, *cells, end_section=name == MEAN)
    return shown


@app.command("profile")
@_configured(DerainConfig, "model", "device", "batch", "neighbours", "blend")
def _profile(
    *,
    resolution: Annotated[list[str] | None, typer.Option(help="WIDTHxHEIGHT; may be repeated")] = None,
    frames: Annotated[int, typer.Option(min=2, help="frames to measure at each resolution")] = 8,
    save: Annotated[Path | None, typer.Option("--json", help="also write the figures to this file")] = None,
    config: DerainConfig,
) -> None:
    """Measure which resolution this machine derains how fast."""
    from rich.console import Console
    from rich.table import Table

    from streamderain.profiling import RESOLUTIONS, profile

    table = Table("resolution", "fps", "network fps", "peak memory", "verdict")
    measured = []
    console = Console()
    with console.status("measuring"):
        for row in profile(tuple(resolution or RESOLUTIONS), config, frames):
            measured.append(dataclasses.asdict(row) | {"verdict": row.verdict()})
            memory = f"{row.peak_memory_mib:.0f} MiB"
            table.add_row(row.resolution, f"{row.fps:.2f}", f"{row.network_fps:.2f}", memory, row.verdict())
    console.print(table)
    if save:
        save.write_text(json.dumps(measured, indent=2) + "\n")


@models_app.callback()
def _models(context: typer.Context) -> None:
    if context.invoked_subcommand is not None:
        return
    from streamderain.model.weights import catalogue

    for known in catalogue():
        size = f"{known.size} bytes" if known.size else "size not stated"
        print(f"{known.name}: {known.about}")
        print(f"    {size}, sha256 {known.sha256 or 'not stated'}")
        print(f"    licence: {known.licence}")
        print(f"    {known.where}")


@models_app.command("add")
def _add(
    file: Annotated[Path, typer.Argument(help="a .pth or .safetensors file of a DRSformer")],
    name: Annotated[str | None, typer.Option(help="what to call it; by default the file's name")] = None,
) -> None:
    """Verify a weights file and install it for --model NAME."""
    from streamderain.model.weights import add

    path = add(file, name)
    print(f"{path.stem} is installed in {path.parent}; use it with --model {path.stem}")


@app.command("rain")
@_configured(RainConfig)
def _rain(
    clean: Annotated[Path, typer.Argument(help="a video, a picture or a folder of pictures")],
    rainy: Annotated[Path, typer.Argument(help="what to write, of the same kind")],
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    config: RainConfig,
) -> None:
    """Let it rain on CLEAN, into RAINY: the same rain for the same settings.

    The camera adds noise and compresses RAINY. For a pair that differs by the rain alone, write both halves, the
    clean one with --rate 0; or write RAINY with --crf 0 --noise 0.
    """
    from streamderain.training.rainmaker import make_rainy

    with _progress_bar(shown=sys.stderr.isatty() and not quiet) as report:
        done = make_rainy(clean, rainy, config, report)
    if not quiet:
        print(f"{rainy}: {done.frames} frames in {done.seconds:.1f} s, {done.frames_per_second:.2f} fps")


@app.command("train")
@_configured(TrainConfig)
def _train(*, config: TrainConfig) -> None:
    """Train a network; a run that was stopped goes on from its last checkpoint."""
    from streamderain.training.trainer import train

    logging.getLogger("streamderain").setLevel(logging.INFO)
    path = train(config, lambda row: print("  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True))
    print(f"weights are in {path}")


@app.command("doctor")
def _doctor() -> None:
    """Say what this machine has and what will be used."""
    from streamderain.doctor import examine

    for what, found in examine():
        print(f"{what + ':':20}{found}")


def main() -> NoReturn:
    """The program: run it, print an error as one line, and end with its exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    logging.basicConfig(format="streamderain: %(message)s", level=logging.WARNING)
    # Whoever stops the program wants what is whole kept, by whatever signal.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(arguments, prog_name="streamderain")
    except StreamderainError as error:
        if debug:
            raise
        code = INTERRUPTED if isinstance(error, Stopped) else 1
        _end(f"streamderain: {error}", code)
    except Exception as error:
        if debug:
            raise
        line = str(error).splitlines()[0] if str(error) else "no message"
        _end(f"streamderain: unexpected {type(error).__name__}: {line}; --debug shows where", 1)
    raise SystemExit(0)


def _end(message: str, code: int) -> NoReturn:
    """Print `message` and end at once, whatever a thread in the middle of a slow frame still does."""
    print(" ".join(message.split()), file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)
