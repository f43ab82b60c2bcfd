"""SharedNetwork: windows of many streams go together, each stream gets its own back, and errors stay at home."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from streamderain.engine.shared import SharedNetwork
from streamderain.errors import DeviceError, WeightsError
from tests.stream.conftest import PATIENCE
from tests.waiting import wait_until

FOR_EVER = 1e6
"""Seconds; who waits for that long does not end within `PATIENCE`."""

InThread = Callable[[Callable[[], None]], threading.Thread]


class Doubling:
    """A network that doubles the middle one of three frames, and fails where a pixel is negative."""

    device, past, future = torch.device("cpu"), 1, 1

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.inference: list[bool] = []

    def restore(self, windows: Tensor) -> Tensor:
        self.sizes.append((len(windows), *windows.shape[-2:]))
        self.inference.append(torch.is_inference_mode_enabled())
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        if (windows < 0).any():
            raise WeightsError("poison")
        return windows[:, self.past] * 2


def window(value: float, count: int = 1, size: tuple[int, int] = (2, 3)) -> Tensor:
    return torch.full((count, 3, 3, *size), value)


class Callers:
    """Threads that each ask once; answers and errors by their number."""

    def __init__(self, shared: SharedNetwork, in_thread: InThread) -> None:
        self.shared, self._in_thread = shared, in_thread
        self.answers: dict[int, Tensor] = {}
        self.errors: dict[int, Exception] = {}
        self.order: list[int] = []
        self.threads: list[threading.Thread] = []

    def ask(self, number: int, windows: Tensor) -> None:
        """Ask, and return once the request waits."""
        before = self.shared.queued

        def call() -> None:
            try:
                self.answers[number] = self.shared.restore(windows)
            except Exception as error:
                self.errors[number] = error
            self.order.append(number)

        self.threads.append(self._in_thread(call))
        wait_until(lambda: self.shared.queued > before)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def network() -> Doubling:
    return Doubling()


@pytest.fixture
def opened(network: Doubling) -> Iterator[Callable[..., SharedNetwork]]:
    made: list[SharedNetwork] = []

    def open_(*settings: Any, **named: Any) -> SharedNetwork:
        made.append(SharedNetwork(network, *settings, **named))
        return made[-1]

    yield open_
    network.gate.set()
    assert all(shared.close(PATIENCE) for shared in made)


def busy(network: Doubling, shared: SharedNetwork, in_thread: InThread) -> Callers:
    """Callers of a network that is in the middle of a request, number 0, until its gate is set."""
    network.gate.clear()
    callers = Callers(shared, in_thread)
    callers.threads.append(in_thread(lambda: callers.answers.update({0: shared.restore(window(0.5))})))
    assert network.entered.wait(PATIENCE)
    return callers


def test_one_stream_gets_what_the_network_makes(network: Doubling, opened: Callable[..., SharedNetwork]) -> None:
    shared = opened(within=FOR_EVER)
    for value in (0.1, 0.2):
        torch.testing.assert_close(shared.restore(window(value)), torch.full((1, 3, 2, 3), 2 * value))
    assert network.sizes == [(1, 2, 3)] * 2
    assert network.inference == [True, True]
    assert (shared.device, shared.past, shared.future) == (network.device, 1, 1)


def test_what_waits_goes_together_and_comes_back_apart(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread
) -> None:
    shared = opened(most=4)
    callers = busy(network, shared, in_thread)
    for number, count in ((1, 1), (2, 2), (3, 1), (4, 1)):
        callers.ask(number, window(number / 10, count))
    network.gate.set()
    callers.join()
    assert network.sizes == [(1, 2, 3), (4, 2, 3), (1, 2, 3)]
    for number, count in ((1, 1), (2, 2), (3, 1), (4, 1)):
        torch.testing.assert_close(callers.answers[number], torch.full((count, 3, 2, 3), number / 5))
    # None holds the memory of the others.
    assert callers.answers[1].untyped_storage().nbytes() == callers.answers[1].nbytes
    assert (shared.batches, shared.windows) == (3, 6)


def test_streams_that_keep_the_network_busy_do_not_take_turns(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread
) -> None:
    shared = opened(within=FOR_EVER)
    network.gate.clear()
    first = in_thread(lambda: [shared.restore(window(0.1)) for _ in range(3)].clear())
    assert network.entered.wait(PATIENCE)
    second = in_thread(lambda: [shared.restore(window(0.2)) for _ in range(2)].clear())
    wait_until(lambda: shared.queued)
    network.gate.set()
    for thread in (first, second):
        thread.join(PATIENCE)
        assert not thread.is_alive()
    # What came while the network was busy waits for the first stream to come back.
    assert [size[0] for size in network.sizes] == [1, 2, 2]


@pytest.mark.parametrize(("later", "size"), [(FOR_EVER, (2, 3)), (0.0, (4, 4))])
def test_who_was_answered_long_ago_or_asks_for_another_shape_is_not_waited_for(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread, later: float, size: tuple[int, int]
) -> None:
    now, first_answer, ended = 0.0, threading.Event(), threading.Event()
    shared = opened(within=FOR_EVER, clock=lambda: now)

    def first() -> None:
        shared.restore(window(0.1))
        first_answer.set()
        assert ended.wait(PATIENCE)

    in_thread(first)
    assert first_answer.wait(PATIENCE)
    now += later
    second = in_thread(lambda: [shared.restore(window(0.2, size=size))].clear())
    second.join(PATIENCE)
    assert not second.is_alive()
    ended.set()
    assert [size[0] for size in network.sizes] == [1, 1]


def test_who_does_not_come_back_is_waited_for_only_so_long(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread
) -> None:
    shared = opened(most=8, within=0.02)
    other = in_thread(lambda: [shared.restore(window(0.1))].clear())
    other.join(PATIENCE)
    shared.restore(window(0.1))
    assert [size[0] for size in network.sizes] == [1, 1]


def test_shapes_go_apart_and_the_oldest_first(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread
) -> None:
    shared = opened(most=2, within=0.0)
    callers = busy(network, shared, in_thread)
    sizes = [(2, 3), (4, 4), (2, 3), (2, 3), (4, 4)]
    for number, size in enumerate(sizes, 1):
        callers.ask(number, window(number / 10, size=size))
    network.gate.set()
    callers.join()
    assert network.sizes[1:] == [(2, 2, 3), (2, 4, 4), (1, 2, 3)]
    for number, size in enumerate(sizes, 1):
        torch.testing.assert_close(callers.answers[number], torch.full((1, 3, *size), number / 5))


def test_a_power_of_two_goes_and_the_rest_follows(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread
) -> None:
    shared = opened(most=8, within=0.0)
    callers = busy(network, shared, in_thread)
    for number in range(1, 8):
        callers.ask(number, window(number / 10))
    network.gate.set()
    callers.join()
    assert [size[0] for size in network.sizes[1:]] == [4, 2, 1]


def test_a_new_size_keeps_nobody_waiting(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread
) -> None:
    shared = opened(most=1, aside=True)
    assert len(shared.restore(window(0.1))) == 1
    network.gate.clear()
    network.entered.clear()
    answers: list[Tensor] = []
    slow = [in_thread(lambda: answers.append(shared.restore(window(0.2, size=(9, 9))))) for _ in range(2)]
    assert network.entered.wait(PATIENCE)
    callers = Callers(shared, in_thread)
    callers.threads.append(in_thread(lambda: callers.answers.update({0: shared.restore(window(0.3))})))
    # It is in the network beside the new size, of which the second waits for the first.
    wait_until(lambda: len(network.sizes) == 3)
    network.gate.set()
    for thread in slow:
        thread.join(PATIENCE)
    callers.join()
    assert network.sizes == [(1, 2, 3), (1, 9, 9), (1, 2, 3), (1, 9, 9)]
    assert [float(answer.max()) for answer in answers] == pytest.approx([0.4, 0.4])


def test_kinds_of_numbers_go_apart(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread
) -> None:
    shared = opened(within=0.0)
    callers = busy(network, shared, in_thread)
    callers.ask(1, window(0.1))
    callers.ask(2, window(0.1).double())
    network.gate.set()
    callers.join()
    assert [callers.answers[number].dtype for number in (1, 2)] == [torch.float32, torch.float64]


def test_more_than_fits_goes_by_itself(network: Doubling, opened: Callable[..., SharedNetwork]) -> None:
    assert len(opened(most=2).restore(window(0.1, 5))) == 5
    assert network.sizes == [(5, 2, 3)]


def test_an_error_reaches_its_own_caller_only(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread
) -> None:
    shared = opened(most=4)
    callers = busy(network, shared, in_thread)
    for number, value in ((1, 0.1), (2, -1.0), (3, 0.3)):
        callers.ask(number, window(value))
    network.gate.set()
    callers.join()
    assert set(callers.answers) == {0, 1, 3}
    assert isinstance(callers.errors[2], WeightsError)
    # It goes on.
    torch.testing.assert_close(shared.restore(window(0.2)), torch.full((1, 3, 2, 3), 0.4))


def test_an_unforeseen_error_does_not_stop_it(network: Doubling, opened: Callable[..., SharedNetwork]) -> None:
    shared = opened()
    with pytest.raises(IndexError):
        shared.restore(torch.zeros(1, 1, 3, 2, 3))
    assert len(shared.restore(window(0.2))) == 1


def test_after_closing_everybody_gets_an_error(
    network: Doubling, opened: Callable[..., SharedNetwork], in_thread: InThread
) -> None:
    shared = opened()
    callers = busy(network, shared, in_thread)
    callers.ask(1, window(0.1))
    assert not shared.close(0.01)
    with pytest.raises(DeviceError, match="closed"):
        shared.restore(window(0.1))
    network.gate.set()
    callers.join()
    # What was in the network already is answered.
    assert set(callers.answers) == {0}
    assert isinstance(callers.errors[1], DeviceError)
    assert shared.close(PATIENCE)


def test_many_streams_get_their_own(opened: Callable[..., SharedNetwork], in_thread: InThread) -> None:
    shared = opened(most=3, within=0.001)
    wrong: list[float] = []

    def stream(number: int) -> None:
        size = (2, 3) if number % 2 else (4, 4)
        for turn in range(40):
            value = number + turn / 64
            if not torch.equal(shared.restore(window(value, size=size)), torch.full((1, 3, *size), 2 * value)):
                wrong.append(value)

    threads = [in_thread(lambda number=number: stream(number)) for number in range(8)]  # type: ignore[misc]
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert wrong == []


@pytest.mark.parametrize(("most", "within"), [(0, 0.0), (1, -1.0)])
def test_settings_that_cannot_be(network: Doubling, most: int, within: float) -> None:
    with pytest.raises(ValueError, match="at least 1 window"):
        SharedNetwork(network, most, within)
