"""Importing what a command needs: no search for garbage meanwhile, and none in what was imported."""

from __future__ import annotations

import gc

import pytest

from streamderain.cli.loading import loading


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_looked_through_until_all_is_there_and_none_of_it_later(fails: bool) -> None:
    before = gc.get_freeze_count()
    made: list[object] = []
    try:
        with loading():
            assert not gc.isenabled()
            made.extend([number] for number in range(10_000))
            if fails:
                raise ImportError
    except ImportError:
        pass
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)
