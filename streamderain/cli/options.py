"""Options of a command, made from the settings of a config; what they mean stands in config.py alone."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from streamderain.batch.spread.config import BatchConfig
from streamderain.config import DerainConfig, JudgeConfig, LiveConfig, RainConfig, TrainConfig, build
from streamderain.errors import ConfigError
from streamderain.folders import settings_file

C = TypeVar("C", DerainConfig, BatchConfig, LiveConfig, TrainConfig, RainConfig, JudgeConfig)
AnyConfig = DerainConfig | TrainConfig | RainConfig | JudgeConfig


def _options(kind: type[AnyConfig], names: tuple[str, ...] | None = None) -> list[inspect.Parameter]:
    """A command-line option for each setting of a config, None where it is not given."""
    hints = get_type_hints(kind)
    options = []
    for setting in dataclasses.fields(kind):
        if names is not None and setting.name not in names:
            continue
        hint: Any = hints[setting.name]
        flag = "--" + setting.name.replace("_", "-")
        # What is on by itself can be left out.
        flag += f"/--no-{flag[2:]}" if setting.default is True else ""
        shown = "" if setting.default in (None, False, (), dataclasses.MISSING) else f" [default: {setting.default}]"
        declared = typer.Option(flag, help=setting.metadata["help"] + shown, show_default=False)
        is_many = getattr(hint, "__origin__", None) in (tuple, dict)
        annotation: Any = Annotated[list[str] | None if is_many else hint | None, declared]
        options.append(
            inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )
    return options


def configured(
    kind: type[C], *names: str, with_saved: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that takes `config` the options that make one: those of `kind`, --config and --set.

    The settings that the user has saved lie below all of them `with_saved`.
    """
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
            saved = settings_file() if with_saved else None
            command(config=build(kind, preset_name, tuple(sets or ()), saved, **settings), **given)

        parameters = [*own, *options, *more]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _parsed(kind: type[AnyConfig], name: str, value: Any) -> Any:
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
