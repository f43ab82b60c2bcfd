"""Channel: bounded, in order, and always an answer for whoever waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from streamderain.stream.channel import Channel, ChannelClosed

from .conftest import PATIENCE

InThread = Callable[[Callable[[], None]], threading.Thread]


def test_items_come_in_order_then_the_end() -> None:
    channel: Channel[int] = Channel(3)
    for item in (1, 2, 3):
        channel.put(item)
    channel.end()
    assert [channel.get(), channel.get(), channel.get()] == [1, 2, 3]
    for _ in range(2):
        with pytest.raises(StopIteration):
            channel.get()


def test_an_error_comes_after_the_items_and_every_time() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.end(LookupError("camera"))
    assert channel.get() == 1
    for _ in range(2):
        with pytest.raises(LookupError, match="camera"):
            channel.get()


def test_a_full_channel_makes_the_writer_wait(in_thread: InThread) -> None:
    channel: Channel[int] = Channel(2)
    third = threading.Event()

    def write() -> None:
        for item in (1, 2, 3):
            channel.put(item)
        third.set()

    in_thread(write)
    assert not third.wait(0.1)
    assert channel.get(PATIENCE) == 1
    assert third.wait(PATIENCE)
    assert [channel.get(), channel.get()] == [2, 3]


def test_close_frees_a_blocked_writer(in_thread: InThread) -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    freed = threading.Event()

    def write() -> None:
        try:
            channel.put(2)
        except ChannelClosed:
            freed.set()

    in_thread(write)
    channel.close()
    assert freed.wait(PATIENCE)


def test_close_drops_what_is_queued_and_refuses_more() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.close()
    with pytest.raises(ChannelClosed):
        channel.put(2)
    with pytest.raises(ChannelClosed):
        channel.get()


def test_close_frees_a_blocked_reader(in_thread: InThread) -> None:
    channel: Channel[int] = Channel(1)
    freed = threading.Event()

    def read() -> None:
        try:
            channel.get()
        except ChannelClosed:
            freed.set()

    in_thread(read)
    channel.close()
    assert freed.wait(PATIENCE)


def test_waiting_for_an_item_has_an_end() -> None:
    channel: Channel[int] = Channel(1)
    with pytest.raises(TimeoutError):
        channel.get(0.01)
    channel.put(1)
    assert channel.get(0) == 1


def test_a_channel_holds_at_least_one_item() -> None:
    with pytest.raises(ValueError, match="capacity = 0"):
        Channel(0)


def test_the_oldest_makes_room_and_is_counted() -> None:
    channel: Channel[int] = Channel(2, drop_oldest=True)
    for item in range(5):
        channel.put(item)
    assert (channel.dropped, len(channel)) == (3, 2)
    channel.end()
    assert [channel.get(), channel.get()] == [3, 4]
    with pytest.raises(StopIteration):
        channel.get()
    assert channel.dropped == 3


@pytest.mark.parametrize("drop_oldest", [False, True])
def test_what_waits_when_the_reader_leaves_counts_as_dropped(drop_oldest: bool) -> None:
    channel: Channel[int] = Channel(3, drop_oldest)
    for item in range(3):
        channel.put(item)
    assert channel.get() == 0
    channel.close()
    assert channel.closed
    assert channel.dropped == 2
