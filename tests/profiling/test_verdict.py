"""The words that a profile finds for its figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from streamderain.errors import ConfigError, SinkError
from streamderain.profiling.rows import STATIONS, Latency, Row, Size
from streamderain.profiling.verdict import highest_rate, summary, verdict, write_json

from .made_up import MACHINE, measured, other, profile, skipped


@pytest.mark.parametrize(
    ("rows", "rate", "words"),
    [
        ([measured("1920x1080", 32.75)], 25, "1920x1080 at 25 fps live: yes, with 31% to spare"),
        ([measured("1920x1080", 25.0)], 25, "1920x1080 at 25 fps live: yes, with 0% to spare"),
        (
            [measured("1920x1080", 24.9), measured("1280x720", 55.0)],
            25,
            "1920x1080 at 25 fps live: no, just not, with 24.9 fps; 1280x720 is derained live",
        ),
        (
            [measured("1920x1080", 32.75), measured("1280x720", 61.0), measured("640x360", 200.0)],
            50,
            "1920x1080 at 50 fps live: no, 1.5 times too slow; 1280x720 is derained live",
        ),
        (
            [measured("1280x720", 10.0, other(batch=4)), measured("1280x720", 26.0, other(backend="torch", batch=8))],
            25,
            "1280x720 at 25 fps live: no, 2.5 times too slow; --backend torch --batch 8 holds it with 26.0 fps; "
            "about 810x456 would be derained live",
        ),
        (
            [measured("1280x720", 10.0)],
            25,
            "1280x720 at 25 fps live: no, 2.5 times too slow; about 810x456 would be derained live",
        ),
        (
            [measured("320x240", 2.0)],
            25,
            "320x240 at 25 fps live: no, 12.5 times too slow; live needs a faster machine, such as one with a GPU",
        ),
        (
            [measured("1280x720", 20.0, gpu=900.0, encode=49.0, network=20.0)],
            25,
            "1280x720 at 25 fps live: no, 1.2 times too slow; the encoder sets the pace: try --preset veryfast, or "
            "--hwaccel; about 1144x644 would be derained live",
        ),
        (
            [measured("1280x720", 20.0, gpu=900.0, decode=49.0, network=20.0)],
            25,
            "1280x720 at 25 fps live: no, 1.2 times too slow; decoding sets the pace: try --hwaccel; about 1144x644 "
            "would be derained live",
        ),
        (
            [measured("1280x720", 12.5, other(model="best"), gpu=900.0)],
            25,
            "1280x720 at 25 fps live: no, 2.0 times too slow; --model fast is quicker; about 906x510 "
            "would be derained live",
        ),
        (
            [skipped("3840x2160", expected=0.25)],
            25,
            "3840x2160 at 25 fps live: skipped: about 0.25 fps expected from 640x360, as it takes too long",
        ),
    ],
)
def test_the_verdict_is_a_figure_and_what_would_help(rows: list[Row], rate: float, words: str) -> None:
    assert verdict(rows[0], profile(rows), rate) == words


@pytest.mark.parametrize(
    ("blend", "gpu", "milliseconds", "advice"),
    [
        (1.0, None, 40.0, "--blend 0 makes at most 16.7 fps"),
        (1.0, None, 62.0, "--blend 0 holds it with at most 26.3 fps"),
        (1.0, None, 3.0, None),  # hardly anything
        (0.0, None, 40.0, None),  # there is none already
        (1.0, 900.0, 12.0, None),  # a GPU does it beside the network
    ],
)
def test_blending_is_proposed_to_go_where_that_would_be_felt(
    blend: float, gpu: float | None, milliseconds: float, advice: str | None
) -> None:
    row = measured("1280x720", 10.0, gpu=gpu, blend=blend, network=30.0)
    row.latency["blend"] = Latency(milliseconds, milliseconds, milliseconds)
    said = verdict(row, profile([row]))
    assert advice in said if advice else "--blend" not in said


def test_a_batch_is_weighed_by_the_frame() -> None:
    row = measured("1280x720", 10.0, other(batch=8), gpu=900.0, network=300.0, encode=90.0)
    assert "the encoder sets the pace" in verdict(row, profile([row]))


@pytest.mark.parametrize(("fps", "rate"), [(61.0, 60), (59.0, 50), (30.0, 30), (25.0, 25), (24.0, None)])
def test_the_highest_rate_is_the_last_that_is_held(fps: float, rate: int | None) -> None:
    assert highest_rate(measured("640x360", fps)) == rate


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [measured("640x360", 90.0), measured("1280x720", 26.04), measured("1920x1080", 11.0)],
            "This machine derains up to 1280x720 live at 25 fps, with 26.0 fps.",
        ),
        (
            [measured("640x360", 26.0), measured("640x360", 40.0, other(batch=4))],
            "This machine derains up to 640x360 with fast, openvino, bfloat16, batch 4 live at 25 fps, with 40.0 fps.",
        ),
        (
            [measured("426x240", 4.1), measured("640x360", 2.0)],
            "No measured resolution is derained live at 25 fps; the most is 4.1 fps, at 426x240.",
        ),
        (
            [skipped("640x360")],
            "Nothing could be measured; what was made ready is kept, so that the next try goes further.",
        ),
    ],
)
def test_the_summary_is_the_largest_that_is_live(rows: list[Row], words: str) -> None:
    assert summary(profile(rows)) == words


def test_json_names_the_machine_and_holds_every_figure(tmp_path: Path) -> None:
    rows: list[Row] = [measured("1280x720", 32.75, gpu=900.0), skipped("1920x1080")]
    write_json(tmp_path / "p.json", profile(rows, psnr=math.inf))
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["machine"] == MACHINE
    assert found["summary"] == summary(profile(rows))
    assert found["best"] == {"device": "cpu", "backend": "openvino", "precision": "bfloat16", "batch": 1}
    row, gap = found["rows"]
    assert row["verdicts"]["25"] == "1280x720 at 25 fps live: yes, with 31% to spare"
    assert row["verdicts"].keys() == {"25", "30", "50", "60"}
    assert row["latency_ms"].keys() == set(STATIONS)
    assert row["latency_ms"]["decode"] == {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    assert (row["resolution"], row["fps"], row["peak_gpu_mib"], row["psnr_db"]) == ("1280x720", 32.75, 900.0, "equal")
    assert gap["skipped"] == "skipped: about 2 fps expected from 640x360, as it takes too long"
    assert (gap["expected_fps"], gap["model"]) == (2.0, "fast")
    with pytest.raises(SinkError, match="cannot be written"):
        write_json(tmp_path / "none" / "p.json", profile(rows))


def test_only_what_differs_tells_setups_apart() -> None:
    rows = [measured("640x360", 9.0), measured("640x360", 9.0, other(batch=4)), skipped("64x48", other(model="best"))]
    assert profile(rows).varying == ["model", "batch"]
    assert profile(rows[:1]).varying == []
    assert other(batch=4, precision="float32").differing(other()) == "--precision float32 --batch 4"


def test_percentiles_are_those_of_the_durations_in_milliseconds() -> None:
    assert Latency.of([0.001 * number for number in range(101)]) == pytest.approx((50.0, 95.0, 99.0))
    assert Latency.of([0.25]) == (250.0, 250.0, 250.0)


def test_sizes_are_even_and_come_from_words() -> None:
    assert Size.parse("427x241") == Size(240, 426)
    assert str(Size.parse("1280x720")) == "1280x720"
    for text in ("big", "1280", "1280x", "x720", "1280x-720", "1x1"):
        with pytest.raises(ConfigError, match=f"{text} is no resolution; expected WIDTHxHEIGHT"):
            Size.parse(text)
