"""The networks by the names that checkpoints and worker processes use."""

from .classifier import RAM
from .model import DRAW
from .network import Network

NETWORKS: dict[str, type[Network]] = {network.name: network for network in (DRAW, RAM)}
