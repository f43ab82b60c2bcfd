"""Watched: a consumer that fails is opened again, one that hangs is left alone, and nobody waits for it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamderain.errors import SinkError
from streamderain.stream import watched as watched_module
from streamderain.stream.watched import MOST_FROZEN, Watched
from tests.clock import Clock

from .conftest import PATIENCE

FROZEN = 5.0

POLLS = 30_000
"""Looks at what must come to be; a machine that is slow is slow at them too."""


class Server:
    """Opens consumers that write down what they get; `acts` says what each opening, write or closing does first."""

    def __init__(self) -> None:
        self.acts: dict[str, list[Callable[[], None]]] = {"open": [], "write": [], "close": []}
        self.sessions: list[list[int]] = []
        self.closed = 0
        self.threads: set[str] = set()

    def open(self) -> _Session:
        self.act("open")
        self.sessions.append([])
        return _Session(self, self.sessions[-1])

    def act(self, what: str) -> None:
        self.threads.add(threading.current_thread().name)
        if self.acts[what]:
            self.acts[what].pop(0)()


class _Session:
    def __init__(self, server: Server, got: list[int]) -> None:
        self._server, self._got = server, got

    def write(self, item: int) -> None:
        self._server.act("write")
        self._got.append(item)

    def close(self) -> None:
        self._server.act("close")
        self._server.closed += 1


def fails() -> None:
    raise SinkError("the server went away")


def passes() -> None:
    pass


class Events(list[tuple[str, str]]):
    def __call__(self, kind: str, detail: str) -> None:
        self.append((kind, detail))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self]


def until(condition: Callable[[], object]) -> None:
    """Wait for what must come to be."""
    for _ in range(POLLS):
        if condition():
            return
        time.sleep(0.002)
    pytest.fail("it never came to be")


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What frozen calls wait for; set when the test ends, so that their threads end."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name.startswith("streamderain-"):
            thread.join(PATIENCE)


def watched(server: Server, events: Events, **options: Any) -> Watched[int]:
    return Watched("out", server.open, **{"delays": lambda attempt: 0.0, "report": events, **options})


def is_tenth(item: int) -> bool:
    return item % 10 == 0


def test_everything_arrives_in_order_and_the_rest_on_closing() -> None:
    server, events = Server(), Events()
    out = watched(server, events)
    for item in range(200):
        out.put(item)
    out.close(PATIENCE)
    assert server.sessions == [list(range(200))]
    assert (out.written, out.dropped, out.reopened, out.frozen) == (200, 0, 0, 0)
    assert server.closed == 1
    assert server.threads == {"streamderain-out"}
    assert events == [("opened", "")]
    assert not out.connected


def test_it_begins_where_one_can_begin() -> None:
    server = Server()
    out = watched(server, Events(), starts_at=is_tenth)
    for item in range(7, 25):
        out.put(item)
    out.close(PATIENCE)
    assert server.sessions == [list(range(10, 25))]
    assert (out.written, out.dropped) == (15, 3)


def test_a_consumer_that_fails_is_closed_and_opened_again() -> None:
    server, events = Server(), Events()
    server.acts["write"] = [passes, passes, fails]
    out = watched(server, events, starts_at=is_tenth)
    for item in range(5):
        out.put(item)
    until(lambda: out.reopened == 1)
    until(lambda: out.dropped == 3)
    assert out.connected
    for item in range(5, 13):
        out.put(item)
    out.close(PATIENCE)
    assert server.sessions == [[0, 1], [10, 11, 12]]
    assert (out.written, out.dropped) == (5, 8)
    assert server.closed == 2
    assert events == [("opened", ""), ("lost", "the server went away"), ("opened", "")]


def test_an_opening_that_fails_is_tried_again_after_a_growing_wait() -> None:
    server, events, asked = Server(), Events(), []
    server.acts["open"] = [fails, fails, fails]

    def delay(attempt: int) -> float:
        asked.append(attempt)
        return 0.001

    out = watched(server, events, delays=delay)
    out.put(1)
    until(lambda: out.written == 1)
    out.close(PATIENCE)
    assert asked == [1, 2, 3]
    assert events.kinds == ["lost"] * 3 + ["opened"]
    assert out.reopened == 0


def test_an_error_may_ask_for_longer_waits_and_gets_them() -> None:
    server, waits = Server(), list[float]()

    def denied() -> None:
        error = SinkError("it wants another password")
        error.again_after = 0.01
        raise error

    def heard(kind: str, detail: str) -> None:
        events(kind, detail)
        if kind == "lost":
            waits.append(out._worker.wait)

    server.acts["open"] = [lambda: begun.wait(PATIENCE) and None, *[denied] * 6, fails]
    server.acts["open"][0] = lambda: (begun.wait(PATIENCE), denied())[0] and None
    events, begun = Events(), threading.Event()
    out = watched(server, events, report=heard)
    begun.set()
    out.put(1)
    until(lambda: out.written == 1)
    out.close(PATIENCE)
    assert waits == [0.01, 0.02, 0.04, 0.08, 0.08, 0.08, 0.08, 0.0]
    assert events[0] == ("lost", "it wants another password; the next attempt is in 0 s or more")
    assert events[-2] == ("lost", "the server went away")


def test_it_gives_up_after_so_many_attempts() -> None:
    server, events = Server(), Events()
    server.acts["open"] = [fails] * 9
    out = watched(server, events, retries=2)
    out.put(1)
    until(lambda: out.ended)
    assert isinstance(out.ended, SinkError)
    assert events.kinds == ["lost"] * 3 + ["gave up"]
    assert "the server went away" in events[-1][1]
    out.put(2)
    out.close(PATIENCE)
    assert (out.written, out.dropped) == (0, 2)


def test_a_fault_of_the_program_ends_it() -> None:
    server, events = Server(), Events()
    server.acts["write"] = [lambda: {}["missing"]]
    out = watched(server, events)
    out.put(1)
    until(lambda: out.ended)
    assert isinstance(out.ended, KeyError)
    until(lambda: events.kinds == ["opened", "gave up"])
    assert server.closed == 1
    out.close(PATIENCE)
    assert out.dropped == 1


def test_a_fault_in_the_waits_ends_it() -> None:
    server = Server()
    server.acts["open"] = [fails]
    out = watched(server, Events(), delays=lambda attempt: 1 / 0)
    until(lambda: isinstance(out.ended, ZeroDivisionError))
    out.close(PATIENCE)


def test_closing_that_fails_is_told_once() -> None:
    server, events = Server(), Events()
    server.acts["close"] = [fails]
    out = watched(server, events)
    out.put(1)
    out.close(PATIENCE)
    assert out.written == 1
    assert events.kinds == ["opened", "lost"]


@pytest.mark.parametrize("call", ["open", "write"])
def test_a_consumer_that_hangs_is_left_and_another_one_opened(call: str, never: threading.Event) -> None:
    server, events = Server(), Events()
    server.acts[call] = [lambda: never.wait(PATIENCE) and None]
    clock, items = Clock(), itertools.count()
    out = watched(server, events, frozen_after=FROZEN, starts_at=is_tenth, clock=clock)
    out.put(next(items))
    until(lambda: server.acts[call] == [])
    clock.passes(FROZEN - 1)
    out.put(next(items))
    assert out.frozen == 0
    clock.passes(2)
    until(lambda: out.put(next(items)) or out.written >= 3)
    item = next(items)
    assert out.frozen == 1
    assert events.kinds == ["frozen", "opened"] if call == "open" else ["opened", "frozen", "opened"]
    out.close(PATIENCE)
    assert out.written + out.dropped == item
    last = server.sessions[-1]
    assert last == list(range(last[0], last[0] + len(last)))
    assert is_tenth(last[0])
    before = out.written, out.dropped, server.closed, list(events)
    never.set()
    # It wakes, gives back what it holds, and changes nothing.
    until(lambda: server.closed == before[2] + 1)
    until(lambda: not any(thread.name == "streamderain-out" for thread in threading.enumerate()))
    assert (out.written, out.dropped, events) == (before[0], before[1], before[3])


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_one_that_comes_back_while_it_is_looked_at_harms_nobody(
    looks: int, never: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread says what it is busy with while the one that puts looks: the last of so many looks find it idle."""
    seen: list[float] = []

    class Returning(watched_module._Worker):
        @property
        def busy_since(self) -> float | None:  # type: ignore[override]
            if threading.current_thread() is not threading.main_thread() or not seen:
                return None
            return seen.pop() if len(seen) > 1 else None

        @busy_since.setter
        def busy_since(self, value: float | None) -> None:
            pass

    monkeypatch.setattr(watched_module, "_Worker", Returning)
    server, events = Server(), Events()
    out = watched(server, events, frozen_after=FROZEN, clock=lambda: 200.0)
    until(lambda: out.connected)
    seen[:] = [100.0] * (looks + 1)
    out.put(1)
    assert events.kinds == ["opened", "frozen"]
    assert events[-1][1] == "no answer for 100.0 s"
    seen.clear()
    out.put(2)
    out.close(PATIENCE)


def test_not_too_many_threads_hang_at_once(never: threading.Event) -> None:
    server = Server()
    clock = Clock()
    server.acts["open"] = [lambda: never.wait(PATIENCE) and None] * (MOST_FROZEN + 5)
    out = watched(server, Events(), frozen_after=FROZEN, clock=clock)
    until(lambda: clock.passes(FROZEN) or out.put(0) or out.frozen == MOST_FROZEN)
    for _ in range(20):
        clock.passes(2 * FROZEN)
        out.put(0)
    assert sum(thread.name == "streamderain-out" for thread in threading.enumerate()) == MOST_FROZEN
    out.close(0.05)


def test_one_that_hangs_again_and_again_is_given_up(never: threading.Event) -> None:
    server, events = Server(), Events()
    server.acts["open"] = [lambda: never.wait(PATIENCE) and None] * 9
    clock = Clock()
    out = watched(server, events, frozen_after=FROZEN, retries=1, clock=clock)
    until(lambda: clock.passes(FROZEN) or out.put(0) or out.ended)
    assert events.kinds == ["frozen", "frozen", "gave up"]
    out.close(0.05)


def test_a_full_queue_is_dropped_up_to_the_next_start(never: threading.Event) -> None:
    server = Server()
    server.acts["write"] = [lambda: never.wait(PATIENCE) and None]
    out = watched(server, Events(), capacity=15, starts_at=is_tenth)
    out.put(0)
    until(lambda: server.acts["write"] == [])
    for item in range(1, 34):
        out.put(item)
        assert out.queued <= 15
    never.set()
    out.close(PATIENCE)
    assert server.sessions == [[0, *range(20, 34)]]
    assert out.written + out.dropped == 34


def test_a_full_queue_without_a_start_is_dropped_until_there_is_one(never: threading.Event) -> None:
    server = Server()
    server.acts["write"] = [lambda: never.wait(PATIENCE) and None]
    out = watched(server, Events(), capacity=3, starts_at=is_tenth)
    out.put(0)
    until(lambda: server.acts["write"] == [])
    for item in range(1, 12):
        out.put(item)
    never.set()
    out.close(PATIENCE)
    assert server.sessions == [[0, 10, 11]]
    assert (out.written, out.dropped) == (3, 9)


@pytest.mark.parametrize(("latest", "first"), [(False, 0), (True, 20)])
def test_after_opening_it_goes_on_from_the_first_start_or_the_last(latest: bool, first: int) -> None:
    server, ready = Server(), threading.Event()
    server.acts["open"] = [lambda: ready.wait(PATIENCE) and None]
    out = watched(server, Events(), starts_at=is_tenth, latest=latest)
    for item in range(25):
        out.put(item)
    ready.set()
    until(lambda: out.written + out.dropped == 25)
    out.close(PATIENCE)
    assert server.sessions == [list(range(first, 25))]


def test_closing_while_it_hangs_leaves_it(never: threading.Event) -> None:
    server, events = Server(), Events()
    server.acts["write"] = [lambda: never.wait(PATIENCE) and None]
    out = watched(server, events)
    for item in range(5):
        out.put(item)
    until(lambda: server.acts["write"] == [])
    out.close(0.05)
    assert (out.frozen, out.written, out.dropped, out.connected) == (1, 0, 5, False)
    assert events.kinds == ["opened", "frozen"]
    out.close(0.05)
    assert out.frozen == 1


def test_closing_while_it_waits_for_the_next_attempt() -> None:
    server, events = Server(), Events()
    server.acts["open"] = [fails]
    out = watched(server, events, delays=lambda attempt: 10 * PATIENCE)
    out.put(1)
    until(lambda: events.kinds == ["lost"])
    # Were it not woken, it would be left behind after that.
    out.close(PATIENCE)
    assert (out.frozen, out.dropped) == (0, 1)


def test_what_is_slow_is_not_drained_for_ever() -> None:
    server, clock, ending = Server(), Clock(), threading.Event()
    server.acts["write"] = [lambda: (ending.wait(PATIENCE), clock.passes(1.0))[1]] * 200
    out = watched(server, Events(), clock=clock)
    for item in range(200):
        out.put(item)
    out.finish(PATIENCE)
    ending.set()
    until(lambda: server.closed == 1)
    out.close()
    # In three quarters of the time, a second each, and one that was begun.
    assert out.written == pytest.approx(0.75 * PATIENCE, abs=2)
    assert out.written + out.dropped == 200


def test_closing_twice_and_putting_after_it() -> None:
    out = watched(Server(), Events())
    out.close(PATIENCE)
    out.put(1)
    out.close(PATIENCE)
    assert (out.written, out.dropped) == (0, 1)


def test_a_queue_holds_at_least_one_item() -> None:
    with pytest.raises(ValueError, match="capacity = 0"):
        watched(Server(), Events(), capacity=0)


def test_many_that_hang_are_given_the_same_time(never: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    outs, clock, waits = [], Clock(), list[float]()
    for _ in range(4):
        server = Server()
        server.acts["write"] = [lambda: never.wait(PATIENCE) and None]
        outs.append(watched(server, Events(), clock=clock))
        outs[-1].put(1)
        until(lambda: server.acts["write"] == [])  # noqa: B023
    for out in outs:
        out.finish(1.0)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", lambda thread, wait: (waits.append(wait), clock.passes(wait)))
        for out in outs:
            out.close()
    assert waits == pytest.approx([1.0, 0.0, 0.0, 0.0])
    assert [out.frozen for out in outs] == [1] * 4
