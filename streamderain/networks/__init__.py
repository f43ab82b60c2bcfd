"""Tensors in, tensors out: the network, its weights, and running it on pictures of any size."""
