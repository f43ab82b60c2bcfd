"""streamderain removes rain from video.

>>> import streamderain
>>> streamderain.derain("rainy.mp4", "clean.mp4")
>>> restorer = streamderain.Restorer.load("default", device="auto")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamderain.backends.runnable import Descriptor
    from streamderain.carry import Progress
    from streamderain.errors import StreamderainError
    from streamderain.networks.registry import register
    from streamderain.networks.restorer import Restorer
    from streamderain.run import derain

__version__ = "0.1.0"
__all__ = ["Descriptor", "Progress", "Restorer", "StreamderainError", "__version__", "derain", "register"]

_HOMES = {
    "Descriptor": "streamderain.backends.runnable",
    "Progress": "streamderain.carry",
    "Restorer": "streamderain.networks.restorer",
    "StreamderainError": "streamderain.errors",
    "derain": "streamderain.run",
    "register": "streamderain.networks.registry",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import streamderain` loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
