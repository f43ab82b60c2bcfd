"""Entry: what the registry asks of a kind of network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from streamderain.backends.runnable import PartedNetwork, Runnable


@dataclass(frozen=True)
class Entry:
    """A kind of network. A state dict is its own where a name in it ends in `landmark`; what stands before that is what
    some trainer put in front of all names.

    `load` makes of a state dict, and of where that came from, for errors, a network whose names and shapes are those of
    the state dict if it is one of this kind; its weights may be empty. It raises WeightsError. `runnable` is what
    backends are given of a network of this `kind`. `settings` are the arguments that its class makes it of, as JSON has
    them.
    """

    name: str
    kind: type[PartedNetwork]
    landmark: str
    load: Callable[[Mapping[str, Tensor], str], PartedNetwork]
    runnable: Callable[[Any], Runnable]
    settings: Callable[[Any], dict[str, Any]]
