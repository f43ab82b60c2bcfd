"""Which settings are best, and how they reach `streamderain derain`."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamderain.config import DerainConfig, build, saved_settings
from streamderain.errors import ConfigError, SinkError
from streamderain.profiling.rows import Profile, Row
from streamderain.profiling.settings import best_settings, save_settings

from .made_up import FAST, MACHINE, measured, other, profile, skipped

TORCH, BATCHED, BEST = other(backend="torch", precision="float32"), other(batch=4), other(model="best")


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([measured("640x360", 9.0), measured("640x360", 11.0, BATCHED)], {"batch": 4, "backend": "openvino"}),
        ([measured("640x360", 12.0), measured("640x360", 11.0, BATCHED)], {"batch": 1}),
        # What is quicker at the size that both were measured at, not what was only measured where frames are small.
        (
            [measured("426x240", 99.0, TORCH), skipped("640x360", TORCH), measured("426x240", 30.0)],
            {"backend": "torch", "precision": "float32"},
        ),
        (
            [
                measured("426x240", 20.0, TORCH),
                measured("640x360", 9.0, TORCH),
                measured("426x240", 30.0),
                measured("640x360", 8.0),
            ],
            {"backend": "torch"},
        ),
        # Models: the first that is live at 1280x720, else the quickest.
        ([measured("1280x720", 26.0, BEST), measured("1280x720", 99.0)], {"model": "best"}),
        ([measured("1280x720", 24.0, BEST), measured("1280x720", 99.0)], {"model": "fast"}),
        ([measured("640x360", 26.0, BEST), measured("640x360", 99.0)], {"model": "fast"}),
    ],
)
def test_the_quickest_is_the_best(rows: list[Row], best: dict[str, object]) -> None:
    found = best_settings(profile(rows))
    assert {key: found.get(key) for key in best} == best
    assert ("model" in found) == ("model" in best)
    assert found["device"] == "cpu"


def test_a_quicker_network_that_answers_otherwise_is_no_better_one() -> None:
    rows: list[Row] = [measured("640x360", 9.0, TORCH), measured("640x360", 30.0)]
    assert best_settings(Profile(rows, {TORCH: 90.0, FAST: 39.0}, "cpu", MACHINE))["backend"] == "torch"
    assert best_settings(Profile(rows, {TORCH: 90.0, FAST: 41.0}, "cpu", MACHINE))["backend"] == "openvino"


def test_where_nothing_was_measured_nothing_is_best() -> None:
    assert best_settings(profile([skipped("640x360")])) == {}


def test_saved_settings_are_read_again_and_others_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.yaml"
    save_settings(path, {"backend": "torch", "batch": 2})
    save_settings(path, {"batch": 4})
    assert saved_settings(path) == {"backend": "torch", "batch": 4}
    assert path.read_text().startswith("# Found best on this machine")
    path.write_text("bach: 1\n")
    with pytest.raises(ConfigError, match="did you mean batch"):
        save_settings(path, {"batch": 4})
    with pytest.raises(SinkError, match="cannot be written"):
        save_settings(tmp_path / "new" / "settings.yaml" / "x", {"batch": 4})


def test_saved_settings_lie_above_defaults_and_below_everything_else(tmp_path: Path) -> None:
    path, preset = tmp_path / "settings.yaml", tmp_path / "mine.yaml"
    path.write_text("batch: 4\nblend: 0.5\ncrf: 30\npreset: slow\n")
    preset.write_text("blend: 0.25\n")
    config = build(DerainConfig, str(preset), ("crf=20",), path, preset="fast")
    assert (config.batch, config.blend, config.crf, config.preset) == (4, 0.25, 20, "fast")
    assert build(DerainConfig, str(preset), ("crf=20",), preset="fast").batch == 0
    assert build(DerainConfig, None, (), tmp_path / "none.yaml") == DerainConfig()


@pytest.mark.parametrize(("device", "backend"), [(None, "openvino"), ("cpu", "openvino"), ("cuda", "auto")])
def test_what_was_best_on_one_device_is_nothing_for_another(tmp_path: Path, device: str | None, backend: str) -> None:
    path = tmp_path / "settings.yaml"
    save_settings(path, {"device": "cpu", "backend": "openvino"})
    config = build(DerainConfig, None, (), path, device=device)
    assert (config.backend, config.device) == (backend, device or "cpu")


def test_settings_that_name_no_device_are_for_all(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("blend: 0.5\n")
    assert build(DerainConfig, None, (), tmp_path / "settings.yaml", device="cuda").blend == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bach: 1", "did you mean batch"),
        ("batch: -1", "batch is -1"),
        ("batch: [", "is no YAML"),
        ("- 1", "holds list"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        build(DerainConfig, None, (), path)
    assert message in str(caught.value)
    assert f"correct or delete {path}" in str(caught.value)
    assert "\n" not in str(caught.value)
