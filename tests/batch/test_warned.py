"""Warnings are kept for a report; what is worse is shown as ever."""

from __future__ import annotations

import logging

import pytest

from streamderain.batch.warned import warnings_in_log


def test_warnings_are_kept_without_passwords_and_errors_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    root, ours = logging.getLogger(), logging.getLogger("streamderain.of.a.test")
    before = root.handlers
    with warnings_in_log() as found:
        ours.warning("lost: %s", "rtsp://user:secret@host/a")
        ours.error("broken")
    ours.warning("later")
    assert len(found) == 1
    assert found[0].startswith("lost: ")
    assert "secret" not in found[0]
    assert caplog.messages == ["broken", "later"]
    assert root.handlers is before


def test_those_of_one_logger_leave_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    with warnings_in_log("streamderain") as found:
        logging.getLogger("streamderain.of.a.test").warning("ours")
        logging.getLogger("somebody").warning("theirs")
    assert (found, caplog.messages) == (["ours"], ["theirs"])


def test_what_need_not_be_kept_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    with warnings_in_log(kept=False) as found:
        logging.getLogger("streamderain").warning("seen")
    assert (found, caplog.messages) == ([], ["seen"])
