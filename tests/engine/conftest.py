"""Threads that no test leaves waiting."""

from tests.stream.conftest import in_thread

__all__ = ["in_thread"]
