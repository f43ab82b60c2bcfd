"""Where publishers begin, without any."""

from __future__ import annotations

import pytest

from streamderain.stream.intake import MOST_WAITING, Intake


def test_the_newest_publisher_counts_and_the_one_before_ends() -> None:
    intake = Intake[int]()
    assert intake.publication(0) is None
    first = intake.begin(False)
    second = intake.begin(True)
    assert (first.is_wanted, second.is_wanted, second.has_sound) == (False, True, True)
    assert intake.publication(0) is second
    assert list(first.items(1)) == []
    second.end()
    assert intake.publication(0) is None


def test_it_ends_for_good() -> None:
    intake = Intake[int]()
    there = intake.begin(False)
    intake.close()
    assert not there.is_wanted
    assert not intake.begin(False).is_wanted
    assert intake.publication(60) is None


def test_what_nobody_takes_is_bounded() -> None:
    publication = Intake[int]().begin(False)
    for number in range(MOST_WAITING + 10):
        publication.put(number)
    publication.end()
    publication.put(-1)
    assert [item for item, _ in publication.items(1)] == list(range(MOST_WAITING))


def test_silence_is_told() -> None:
    with pytest.raises(TimeoutError):
        next(Intake[int]().begin(False).items(0.01))
