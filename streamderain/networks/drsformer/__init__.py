"""DRSformer, published and ours: the network, its quick forms, and what its weights' names say."""

from streamderain.networks.drsformer.network import DRSformer
from streamderain.networks.drsformer.variant import Variant

__all__ = ["DRSformer", "Variant"]
