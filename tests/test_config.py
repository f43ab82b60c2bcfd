"""Settings: defaults, presets, --set, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamderain.config import (
    DerainConfig,
    LiveConfig,
    RainConfig,
    TrainConfig,
    build,
    presets,
)
from streamderain.errors import ConfigError
from streamderain.quantities import host_and_port, seconds


def test_presets_come_with_the_package_and_all_of_them_fit() -> None:
    assert {"archive", "live", "quick", "train-fast"} <= presets().keys()
    for name in presets():
        build(TrainConfig if name.startswith("train") else LiveConfig, name)


def test_each_layer_overlays_the_one_before(tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("crf: 30\nblend: 0.2\npreset: slow\n")
    config = build(DerainConfig, str(preset), ("blend=0.4", "preset=fast"), preset="medium", encoder=None)
    assert (config.crf, config.blend, config.preset, config.encoder) == (30, 0.4, "medium", "auto")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ccrf: 20", "no setting is called ccrf; did you mean crf?"),
        ("crf: high", "crf is 'high'; expected int or nothing"),
        ("blend: [1]", "blend is [1]; expected float"),
        ("batch: -1", "batch is -1; allowed: 1 to 64"),
        ("- crf", "holds list; expected lines of key: value"),
        ("crf: [", "is no YAML"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(tmp_path: Path, text: str, message: str) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text(text)
    with pytest.raises(ConfigError) as caught:
        build(DerainConfig, str(preset))
    assert message in str(caught.value)


def test_an_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean archive"):
        build(DerainConfig, "archiv")


def test_set_needs_a_value() -> None:
    with pytest.raises(ConfigError, match="--set crf has no value"):
        build(DerainConfig, None, ("crf",))


def test_training_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="a multiple of 16 is needed"):
        build(TrainConfig, patch=100)
    for name in ("widths", "blocks", "heads", "residual"):
        with pytest.raises(ConfigError, match=rf"{name} is \(1, 2\); a DRSformer has four levels"):
            build(TrainConfig, **{name: (1, 2)})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rate", -1.0, "rate is -1.0; allowed: 0 to 300"),
        ("rate", 0.01, "rate is 0.01; allowed: 0.1 to 300, or 0 for no rain"),
        ("rate", float("nan"), "rate is nan; allowed"),
        ("exposure", 0.0, "exposure is 0.0; allowed: 1e-05 to 0.1"),
        ("droplets", -1, "droplets is -1; allowed: 0 to 1000"),
        ("seed", "one", "seed is 'one'; expected int"),
        ("crf", -1, "crf is -1; allowed: 0 to 63"),
    ],
)
def test_rain_that_cannot_be_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(RainConfig, **{key: value})
    assert message in str(caught.value)


def test_an_encoder_follows_a_bitrate_or_a_quality() -> None:
    with pytest.raises(ConfigError, match="bitrate and crf are both set"):
        build(RainConfig, bitrate=1000, crf=20)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("max_latency", 0.0, "max_latency is 0.0; allowed: 0.02 to 3600 seconds"),
        ("frozen_after", float("nan"), "frozen_after is nan; allowed"),
        ("transport", "icmp", "transport is icmp; allowed: tcp, udp"),
        ("retries", -1, "retries is -1; allowed: 0 or more"),
        ("segment", "10 minutes", "10 minutes is no length of time"),
        ("keep", ("7d",), "keep is 7d, but recordings are one file; set segment"),
        ("segment", "0.5", "expected 1 second or more"),
        ("preview", "page", "page is no port; expected 0 to 65535"),
        ("preview", "::1:80", "::1:80 is no port"),
        ("preview", "127.0.0.1:65536", "is no port"),
    ],
)
def test_live_settings_are_checked(key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(LiveConfig, **{key: value})
    assert message in str(caught.value)


def test_lengths_of_time_and_addresses() -> None:
    assert [seconds(each) for each in ("90", "90s", "10m", "1.5h")] == [90, 90, 600, 5400]
    addresses = ("8090", ":8090", "0.0.0.0:80", "[::1]:80", "host:0")
    expected = [("127.0.0.1", 8090), ("127.0.0.1", 8090), ("0.0.0.0", 80), ("::1", 80), ("host", 0)]
    assert [host_and_port(each) for each in addresses] == expected
