"""The pages that are generated from results say what the results say."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

from tests.scripts import SCRIPTS, run

MACHINE = {"processor": "a small one"}


def test_the_quality_page_shows_every_figure_and_marks_harm(tmp_path: Path) -> None:
    score = {"nothing": {"psnr": 20.0, "ssim": 0.5}, "median": {"psnr": 22.0, "ssim": 0.6}}
    still = {"nothing": {"psnr": None, "ssim": 1.0}}
    sets = {"clips": {"items": 2, "mean": score}, "stills": {"items": 9, "mean": still}}
    kinds = {
        "hair": {"items": 1, "trained_on": False, "psnr": {"fast": {"mean": 41.0, "lowest": 41.0}}},
        "dashcam": {"items": 3, "trained_on": True, "psnr": {"fast": {"mean": 43.5, "lowest": 42.25}}},
    }
    clip = {"frames": 12, "dry_lab": 0.5, "dry_share": 0.4, "input_change": 1, "output_change": 1, "most_pumping": 0.25}
    results = {
        "quality": {"methods": ["nothing", "median"], "sets": sets},
        "harm": {"aim_db": 42, "frames": 24, "models": ["fast"], "rows": kinds},
        "real": {"models": ["fast"], "clips": {"terrace": {"fast": clip}}},
    }
    for name, result in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({**result, "machine": MACHINE}))
    run("quality_page", "--folder", tmp_path)
    lines = (tmp_path / "quality.md").read_text().splitlines()
    for line in (
        "| clips (2) | 20.00 dB / 0.500 | 22.00 dB / 0.600 |",
        "| stills (9) | equal / 1.000 | - |",
        "| hair (1) | **41.00 dB** |",
        "| dashcam (3), trained on | 43.50 dB, lowest 42.25 dB |",
        "| terrace (12 frames) | fast | 0.50 | 40% | 1.00 | 1.00 | 0.25 |",
        "Machine: a small one.",
    ):
        assert line in lines


def test_the_page_that_is_kept_is_the_one_its_results_make(tmp_path: Path) -> None:
    for name in ("quality", "harm", "real"):
        if (SCRIPTS / f"{name}.json").is_file():
            (tmp_path / f"{name}.json").write_bytes((SCRIPTS / f"{name}.json").read_bytes())
    run("quality_page", "--folder", tmp_path)
    assert (tmp_path / "quality.md").read_text() == (SCRIPTS / "quality.md").read_text()


def test_the_judge_page_shows_its_figures(tmp_path: Path) -> None:
    gain = {"cases": 9, "untouched": 25.0, "mean": 1.5, "worst_tenth": -0.25}
    network = {
        "version": 1,
        "cases": 12,
        "gains": {"grid": gain},
        "axes": {"lean": {"0": {"still": 1.0, "moving": 2.0}}},
        "dry": {"clip": {"cases": 2, "mean": 50.0, "lowest": 41.0}},
        "passes_gate": False,
        "look_alikes": {"hair": {"still": 14.0, "moving": 13.0}},
    }
    (tmp_path / "judge.json").write_text(json.dumps({"networks": {"fast": network}, "machine": MACHINE}))
    (tmp_path / "page.md").write_text("before\n<!-- BENCHMARKS -->\nold\n<!-- /BENCHMARKS -->\nbehind\n")
    write_judge_page(tmp_path, tmp_path / "page.md")
    lines = (tmp_path / "page.md").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "behind")
    assert "old" not in lines
    for line in (
        "| grid (9) | 25.0 dB | +1.50 / -0.25 |",
        "| lean 0 | +1.00 / +2.00 |",
        "| dry, clip (2): mean / lowest | 50.0 / 41.0 dB |",
        "| gate of 42 dB | **fails** |",
        "| hair: still / moving | 14.0 / 13.0 dB |",
    ):
        assert line in lines


def test_the_judge_page_that_is_kept_is_the_one_its_results_make(tmp_path: Path) -> None:
    kept = SCRIPTS.parent / "docs" / "judge.md"
    (tmp_path / "page.md").write_bytes(kept.read_bytes())
    write_judge_page(SCRIPTS, tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == kept.read_text()


def test_the_comparison_that_is_kept_is_the_one_its_results_make(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    run("comparison_page", "--page", page)
    assert page.read_text() == (SCRIPTS.parent / "docs" / "comparison.md").read_text()


def test_networks_of_others_have_the_sizes_that_their_papers_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    peer = importlib.import_module("peer")
    picture, clip = torch.rand(1, 3, 8, 12), torch.rand(3, 5, 8, 12)
    for network, given, parameters in ((peer.PReNet(), picture, 168_963), (peer.PeerDerainer(), clip, 525_327)):
        assert sum(each.numel() for each in network.parameters()) == parameters
        assert network.eval()(given).shape == given.shape


def write_judge_page(folder: Path, page: Path) -> None:
    run("judge_page", "--folder", folder, "--page", page)


@pytest.mark.parametrize("name", ["scale", "joins"])
def test_a_page_is_the_one_its_results_make(name: str, tmp_path: Path) -> None:
    run(f"{name}_page", "--page", tmp_path / f"{name}.md")
    assert (tmp_path / f"{name}.md").read_text() == (SCRIPTS.parent / "docs" / f"{name}.md").read_text()


def test_the_table_of_alarms_is_the_one_its_results_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    page = importlib.import_module("alarms_page")
    table = list(page.lines(page.load("alarms")))
    assert "\n".join([page.BEGIN, *table, page.END]) in page.PAGE.read_text()
    people = {"again": 3, "of": 4, "more": 1}
    row = {"scene": "people walk", "rain": "light", "version": "rainy", "seconds": 4.0, "people": people,
           "ringing": {"difference": 0.5, "MOG2": 1.0},
           "alarms_an_hour": {"difference": 180.0, "MOG2": 360.0}}  # fmt: skip
    long = {**row, "scene": "nothing moves", "seconds": 60.0, "people": None}
    real = {"clip": "terrace", "version": "rainy", "ringing": {"difference": 0.25, "MOG2": 0.0}}
    shown = list(page.lines({"made": [row, long], "real": [real], "size": "4x3", "fps": 5, "model": "fast"}))
    # Of a few seconds there is no rate.
    assert "| people walk | light | rainy | 50% | 100% | - | - | 3 of 4 | 1 |" in shown
    assert "| nothing moves | light | rainy | 50% | 100% | 180 | 360 | - | - |" in shown
    assert "| terrace | rainy | 25% | 0% |" in shown


def test_one_network_measured_anew_leaves_the_figures_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    results = importlib.import_module("results")
    before = {"models": ["fast", "best"], "sets": {"leaves": {"fast": 30.0, "best": 31.0}}, "frames": 24}
    results.save("both", before, tmp_path, keep_others=True)
    anew = {"models": ["best", "own"], "sets": {"leaves": {"best": 32.0, "own": 1.0}, "hair": {"best": 42.0}}}
    results.save("both", anew, tmp_path, keep_others=True)
    found = results.load("both", tmp_path)
    assert found.pop("machine")
    leaves = {"fast": 30.0, "best": 32.0, "own": 1.0}
    assert found == {
        "models": ["fast", "best", "own"],
        "sets": {"leaves": leaves, "hair": {"best": 42.0}},
        "frames": 24,
    }
    results.save("both", anew, tmp_path)
    assert results.load("both", tmp_path)["sets"] == anew["sets"]
