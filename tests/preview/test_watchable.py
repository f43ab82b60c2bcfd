"""What a client may set."""

from __future__ import annotations

import pytest

from streamderain.errors import ConfigError
from streamderain.preview.watchable import checked

KNOWN = {"strength": 1.0, "blend": 0.5}


def test_numbers_from_0_to_1_pass() -> None:
    assert checked({"strength": 0, "blend": 0.25}, KNOWN) == {"strength": 0.0, "blend": 0.25}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "no JSON object"),
        ({}, "no JSON object"),
        (None, "no JSON object"),
        ({"strenght": 0.5}, "did you mean strength"),
        ({"__class__": 0.5}, "allowed: strength, blend"),
        ({"strength": 1.01}, "strength is '1.01'; allowed: a number from 0 to 1"),
        ({"strength": -0.1}, "allowed: a number"),
        ({"strength": float("nan")}, "allowed: a number"),
        ({"strength": True}, "allowed: a number"),
        ({"strength": "0.5"}, "allowed: a number"),
        ({"strength": None}, "allowed: a number"),
        ({"strength": 0.5, "blend": [0.5]}, "blend is"),
    ],
)
def test_everything_else_is_an_error_of_one_line(asked: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        checked(asked, KNOWN)
    assert "\n" not in str(caught.value)
