"""Networks as pure functions: an adapter for flax modules, and the few networks of the classic studies."""

from bal.learners.networks.conv import Conv
from bal.learners.networks.network import Network, gal_cnn, lenet, linear, mlp, network

__all__ = ["Conv", "Network", "gal_cnn", "lenet", "linear", "mlp", "network"]
