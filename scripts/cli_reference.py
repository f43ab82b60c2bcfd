"""Writes docs/cli.md, the reference of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from streamderain.cli.app import app

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
HEAD = """\
# The command line

Made by `make docs-pages` from the commands; `streamderain COMMAND --help` says the same. A setting that has an option
here may also stand in a YAML file (`--config`), or be given as `--set key=value`, with `_` for `-`.
"""
MADE_BY_TYPER = {"--help", "--install-completion", "--show-completion"}


def commands() -> Iterator[tuple[str, Any]]:
    """Each command by all of its name, such as `streamderain models add`."""
    yield from _within("streamderain", typer.main.get_command(app))


def _within(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _within(f"{name} {word}", inner)


def page() -> str:
    """All of docs/cli.md."""
    return "\n".join([HEAD, *(part for name, command in commands() for part in _section(name, command))])


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## `{name}`\n"
    yield f"{_plain(command.help or '')}\n"
    shown = [each for each in command.params if not each.hidden and not MADE_BY_TYPER.intersection(each.opts)]
    words = [_word(each) for each in shown if each.param_type_name == "argument"]
    yield f"```text\n{' '.join([name, *words, '[OPTIONS]'])}\n```\n"
    if shown:
        yield "| | |\n|---|---|\n" + "".join(_row(each, typer.Context(command)) for each in shown)


def _word(argument: Any) -> str:
    """An argument as a user names it, `...` where there may be many, in brackets where there need be none."""
    word = (argument.metavar or argument.name.upper()) + ("..." if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


def _row(parameter: Any, context: typer.Context) -> str:
    """What stands in the help of the command line, as a row of a table."""
    names, about = parameter.get_help_record(context)
    return f"| `{names.strip('[]')}` | {_cell(about)} |\n"


def _plain(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _cell(text: str) -> str:
    """Text for a cell of a table, in which no sign means anything."""
    plain = _plain(text)
    for sign in "\\|<>*_[]":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
