"""All commands under one name, and the bare form without any."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from streamderain import __version__
from streamderain.cli.batch import batch
from streamderain.cli.derain import derain
from streamderain.cli.evaluate import evaluate
from streamderain.cli.judge import judge
from streamderain.cli.models import doctor, export, models_app
from streamderain.cli.page import page
from streamderain.cli.profile import profile
from streamderain.cli.serve import serve
from streamderain.cli.training import campaign, rain, train

_DEFAULT_COMMAND = "derain"


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
    epilog="Add --debug to any command for the whole traceback of an error, --show-urls to have URLs told as they are, "
    "passwords and keys included.",
)
app.add_typer(models_app, name="models")
app.command(_DEFAULT_COMMAND)(derain)
for command in (page, batch, serve, evaluate, judge, profile, export, rain, train, campaign, doctor):
    app.command(command.__name__)(command)


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
