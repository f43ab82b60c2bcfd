"""A network as a folder of the Hugging Face hub: what PyTorchModelHubMixin writes, and a model card."""

from __future__ import annotations

import json
from pathlib import Path

from streamderain.errors import WeightsError
from streamderain.networks import registry, weights
from streamderain.networks.hub import CARD, CONFIG, WEIGHTS

_CARD = """\
---
{licence}library_name: streamderain
pipeline_tag: image-to-image
tags: [deraining, video, image-restoration]
---

{about}

## Use

```sh
pip install 'streamderain[hub]'
streamderain rainy.mp4 clean.mp4 --model hub:OWNER/NAME
```
"""


def publish(model: str, folder: Path, overwrite: bool = False) -> Path:
    """Write the weights called `model`, or in the file of that name, into `folder`; the folder.

    `--model FOLDER` runs it, and so does `--model hub:OWNER/NAME` once it has been uploaded. config.json holds what the
    network's class takes, under the names of its arguments. The card is that of bundled weights; of others it is to be
    written. Raises WeightsError, also where a file would be replaced without `overwrite`.
    """
    name = weights.named(model)
    path = weights.find(name)
    network = registry.build(weights.read(path), str(path))
    present = [each for each in (WEIGHTS, CONFIG, CARD) if (folder / each).exists()]
    if present and not overwrite:
        raise WeightsError(f"{folder} holds {present[0]}; --overwrite replaces it, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        weights.save(network, folder / WEIGHTS, {"format": "pt"})
        (folder / CONFIG).write_text(json.dumps(registry.settings(network), indent=2) + "\n")
        (folder / CARD).write_text(_card(name))
    except OSError as error:
        raise WeightsError(f"{folder} cannot be written ({error.strerror})") from error
    return folder


def _card(name: str) -> str:
    own = weights.BUNDLED / f"{name}.md"
    if own.exists():
        return _CARD.format(licence="license: apache-2.0\n", about=own.read_text().strip())
    about = (
        f"# {Path(name).stem}\n\nTo be written: what it learnt from, what it fails at, and under which licence it is."
    )
    return _CARD.format(licence="", about=about)
