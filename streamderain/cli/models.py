"""`streamderain models`, `export`, `doctor`: which networks there are and what runs them, here and elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from streamderain.errors import ConfigError

models_app = typer.Typer(help="List known weights, or add some.", invoke_without_command=True)


@models_app.callback()
def _models(context: typer.Context) -> None:
    if context.invoked_subcommand is not None:
        return
    from streamderain.networks import kin
    from streamderain.networks.weights import catalogue

    for known in catalogue():
        size = f"{known.size} bytes" if known.size else "size not stated"
        print(f"{known.name}: {known.about}")
        print(f"    {size}, sha256 {known.sha256 or 'not stated'}")
        print(f"    licence: {known.licence}")
        print(f"    {known.where}")
    print(f"--model FILE, by spandrel, those that keep the size: {kin.known()}")


@models_app.command("add")
def _add(
    file: Annotated[Path, typer.Argument(help="a .pth or .safetensors file of a DRSformer")],
    name: Annotated[str | None, typer.Option(help="what to call it; by default the file's name")] = None,
) -> None:
    """Verify a weights file and install it for --model NAME."""
    from streamderain.networks.weights import add

    path = add(file, name)
    print(f"{path.stem} is installed in {path.parent}; use it with --model {path.stem}")


@models_app.command("save")
def _save(
    model: Annotated[str, typer.Argument(help="weights by name or file")],
    folder: Annotated[Path, typer.Argument(help="where to; made if it is not there")],
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what is there")] = False,
) -> None:
    """Write weights as a folder of the Hugging Face hub, for --model FOLDER. See docs/own-network.md."""
    from streamderain.networks.publishing import publish

    publish(model, folder, overwrite)
    print(f"{folder} is written; --model {folder} runs it, and `hf upload OWNER/NAME {folder}` sends it")


def export(
    output: Annotated[
        Path | None, typer.Argument(metavar="OUTPUT", help="net.onnx or net.pt; by default the model's name, here")
    ] = None,
    *,
    model: Annotated[str, typer.Option(help="weights by name or file")] = "fast",
    onnx: Annotated[bool, typer.Option("--onnx", help="write ONNX, whatever OUTPUT ends in")] = False,
    torchscript: Annotated[bool, typer.Option("--torchscript", help="write TorchScript, for ffmpeg too")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an output that exists")] = False,
) -> None:
    """Write a network for other programs: as ONNX, or as TorchScript. See docs/export.md."""
    from streamderain.networks.export import export as export_network

    if onnx and torchscript:
        raise ConfigError("onnx and torchscript are both set; a file can be one of them")
    kind = "onnx" if onnx else "torchscript" if torchscript else None
    print(f"{export_network(model, output, kind, overwrite)} is written, and answers as {model} does")


def doctor(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON that may be shown to others: no home, no secret.")
    ] = False,
) -> None:
    """Say what this machine has and what will be used."""
    from streamderain.doctor import examine, for_others

    if as_json:
        print(json.dumps(for_others(), indent=2, ensure_ascii=False))
        return
    for what, found in examine():
        print(f"{what + ':':20}{found}")
