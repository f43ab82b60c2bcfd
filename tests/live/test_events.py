"""The list of what happened, which stays short and loses nothing that is rare."""

from __future__ import annotations

import errno
import os

import pytest

from streamderain.live.events import IN_TURNS_SECONDS, MOST, SOURCE, Event, Events, is_disk_full


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def kinds(events: Events) -> list[tuple[str, str, int]]:
    return [(each["subject"], each["kind"], each["times"]) for each in events.as_json()]


def test_what_comes_again_is_counted_and_displaces_nothing() -> None:
    told: list[Event] = []
    clock = Clock()
    events = Events(told.append, clock)
    events.add("connected", SOURCE, "h264 64x48")
    for attempt in range(1000):
        clock.seconds += 10
        events.add("refused", SOURCE, f"401; the next attempt is in {attempt} s")
        events.add("lost", "rtsp://server/x", "refused")
    assert kinds(events) == [
        (SOURCE, "connected", 1), (SOURCE, "refused", 1000), ("rtsp://server/x", "lost", 1000),
    ]  # fmt: skip
    assert events.as_json()[1]["at"] == clock.seconds
    assert len(told) == 2001


def test_what_comes_in_turns_is_counted_where_it_is_quick() -> None:
    clock = Clock()
    events = Events(clock=clock)
    for _ in range(10):
        clock.seconds += 1
        events.add("opened", "rain.mkv", "")
        events.add("lost", "rain.mkv", "no room")
    assert kinds(events) == [("rain.mkv", "opened", 10), ("rain.mkv", "lost", 10)]
    clock.seconds += IN_TURNS_SECONDS + 1
    events.add("opened", "rain.mkv", "")
    assert kinds(events)[-1] == ("rain.mkv", "opened", 1)


def test_it_stays_short() -> None:
    events = Events(clock=Clock())
    for number in range(3 * MOST):
        events.add("lost", f"out-{number}", "")
    assert [each["subject"] for each in events.as_json()] == [f"out-{number}" for number in range(2 * MOST, 3 * MOST)]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_known_by_what_the_system_says(code: int) -> None:
    assert is_disk_full(f"cannot be written to: {os.strerror(code)}")
    assert not is_disk_full(f"cannot be written to: {os.strerror(errno.EACCES)}")
