"""Kernels of our own for NVIDIA GPUs, in Triton's Python; imported where the backend "triton" is asked for."""
