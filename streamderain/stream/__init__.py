"""Threads, queues, pinned memory and CUDA streams; knows no codec and no network."""
