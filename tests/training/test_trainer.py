"""Trainer: a short run leaves what it promises, and an interrupted one ends as if nothing had been."""

from __future__ import annotations

import csv
import json
import math
from itertools import accumulate, chain, cycle
from pathlib import Path
from typing import Any

import pytest
import torch

from streamderain.config import TrainConfig
from streamderain.errors import ConfigError, TrainingError
from streamderain.networks import weights
from streamderain.networks.drsformer.variant import Variant
from streamderain.networks.restorer import Restorer
from streamderain.training.material import Material
from streamderain.training.trainer import (
    LAST_RATE,
    WARM_UP_STEPS,
    Trainer,
    deraining_loss,
    is_quick_in_bfloat16,
    learning_rate,
    train,
    variant_of,
)
from tests.pictures import write_image


def tiny(folder: Path, **settings: Any) -> TrainConfig:
    small: dict[str, Any] = {
        "folder": folder, "device": "cpu", "widths": (8, 16, 32, 64), "blocks": (1, 1, 1, 1), "expansion": 1.0,
        "steps": 4, "batch": 2, "patch": 32, "window": 48, "cache": 3, "dense": (1, 1), "workers": 0,
        "validate_every": 2, "held_out_samples": 2,
    }  # fmt: skip
    return TrainConfig(**small | settings)


def trained(config: TrainConfig, material: Material) -> Trainer:
    trainer = Trainer(config, material, material)
    trainer.resume()
    trainer.run()
    return trainer


class Interrupted(Exception):
    """Stands for the power cut."""


def interrupted(config: TrainConfig, material: Material) -> None:
    """Train until the first checkpoint is written, and not a step further."""

    def stop(row: dict[str, float]) -> None:
        raise Interrupted

    trainer = Trainer(config, material, material)
    trainer.resume()
    with pytest.raises(Interrupted):
        trainer.run(stop)


def test_a_run_leaves_weights_a_log_and_a_checkpoint(tmp_path: Path, material: Material) -> None:
    config = tiny(tmp_path / "run", steps=2, validate_every=1, plot=True)
    trained(config, material)
    assert {path.name for path in config.folder.iterdir()} == {
        "checkpoint.pt", "lock", "log.csv", "log.png", "state.json", "weights.safetensors"
    }  # fmt: skip
    with (config.folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert all(math.isfinite(float(row["loss"])) for row in rows)
    assert weights.load(str(config.folder / "weights.safetensors")).variant == variant_of(config)
    restorer = Restorer.load(str(config.folder / "weights.safetensors"), "cpu")
    pictures = torch.zeros(2, 3, 20, 20, dtype=torch.uint8)
    assert restorer(pictures).shape == pictures.shape


def test_training_changes_the_weights(tmp_path: Path, material: Material) -> None:
    config = tiny(tmp_path)
    untrained = Trainer(config, material, material).network.state_dict()
    after = trained(config, material).network.state_dict()
    changed = [name for name, value in untrained.items() if name != "window" and not torch.equal(value, after[name])]
    assert len(changed) > len(untrained) / 2


def test_the_same_config_gives_the_same_weights(tmp_path: Path, material: Material) -> None:
    first, second = (trained(tiny(tmp_path / name), material).network.state_dict() for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_more_workers_than_cores_are_asked_for_in_vain(tmp_path: Path, material: Material) -> None:
    """And change nothing; torch warns of them."""
    few, many = (
        trained(tiny(tmp_path / str(count), workers=count), material).network.state_dict() for count in (0, 999)
    )
    assert all(torch.equal(few[name], many[name]) for name in few)


def test_another_seed_gives_other_weights(tmp_path: Path, material: Material) -> None:
    first, second = (trained(tiny(tmp_path / str(seed), seed=seed), material) for seed in (1, 2))
    assert not torch.equal(first.network.output.weight, second.network.output.weight)


def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path: Path, material: Material) -> None:
    whole = trained(tiny(tmp_path / "whole"), material)
    config = tiny(tmp_path / "cut")
    interrupted(config, material)
    # Whatever else has happened meanwhile to the generator that all of torch shares.
    torch.manual_seed(99)
    resumed = trained(config, material)
    assert resumed.step == whole.step == 4
    for kind in ("network", "average"):
        first, second = getattr(whole, kind).state_dict(), getattr(resumed, kind).state_dict()
        assert [name for name in first if not torch.equal(first[name], second[name])] == []
    files = [tmp_path / name / "weights.safetensors" for name in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_resumed_run_goes_on_with_the_log(tmp_path: Path, material: Material) -> None:
    config = tiny(tmp_path)
    interrupted(config, material)
    trained(config, material)
    with (tmp_path / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path, material: Material) -> None:
    before = trained(tiny(tmp_path), material).network.state_dict()
    log = (tmp_path / "log.csv").read_text()
    after = trained(tiny(tmp_path), material).network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (tmp_path / "log.csv").read_text() == log


def test_a_second_training_in_one_folder_is_refused_and_costs_the_first_nothing(
    tmp_path: Path, material: Material
) -> None:
    first, second = (Trainer(tiny(tmp_path / "run"), material, material) for _ in range(2))

    def meanwhile() -> None:
        with pytest.raises(TrainingError, match="another training writes into"):
            second.run()

    first.run(rest=meanwhile)
    assert first.step == first.config.steps


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, material: Material) -> None:
    trained(tiny(tmp_path, steps=1), material)
    with pytest.raises(TrainingError, match="is of another network"):
        Trainer(tiny(tmp_path, widths=(16, 32, 64, 128)), material, material).resume()


def test_training_can_start_from_given_weights(tmp_path: Path, material: Material) -> None:
    given = trained(tiny(tmp_path / "a"), material).average.state_dict()
    trainer = Trainer(tiny(tmp_path / "b", seed=8), material, material)
    trainer.start_from(str(tmp_path / "a" / "weights.safetensors"))
    for network in (trainer.network, trainer.average):
        state = network.state_dict()
        assert all(torch.equal(state[name], value) for name, value in given.items())


def test_a_teacher_has_a_say_in_what_is_learnt_and_none_in_what_is_validated(
    tmp_path: Path, material: Material
) -> None:
    trained(tiny(tmp_path / "teacher", seed=8), material)
    taught = {"teacher": str(tmp_path / "teacher" / "weights.safetensors"), "teaching": 0.9}
    alone = trained(tiny(tmp_path / "alone"), material)
    whole = trained(tiny(tmp_path / "whole", **taught), material)
    interrupted(tiny(tmp_path / "cut", **taught), material)
    resumed = trained(tiny(tmp_path / "cut", **taught), material)
    ends = [each.network.state_dict()["output.weight"] for each in (alone, whole, resumed)]
    assert not torch.equal(ends[0], ends[1])
    assert torch.equal(ends[1], ends[2])
    assert all(torch.equal(one, other) for one, other in zip(alone._validation, whole._validation, strict=True))


def test_the_config_names_the_network(tmp_path: Path) -> None:
    config = tiny(tmp_path, mefc=True, dense=(0, 0), scale=1, past=2, future=0)
    expected = Variant(widths=(8, 16, 32, 64), blocks=(1, 1, 1, 1), expansion=1.0, mefc=True, scale=1, past=2, future=0)
    assert variant_of(config) == expected
    uneven = tiny(tmp_path, widths=(8, 20, 24, 16), blocks=(0, 0, 1, 1), heads=(1, 2, 3, 4), residual=(1, 2, 0, 1))
    assert variant_of(uneven).widths == (8, 20, 24, 16)
    assert (variant_of(uneven).heads, variant_of(uneven).residual) == ((1, 2, 3, 4), (1, 2, 0, 1))


def test_a_network_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="8 heads cannot share 20 channels; set heads that divide widths"):
        variant_of(tiny(tmp_path, widths=(8, 16, 32, 20)))


def test_the_learning_rate_rises_stays_and_falls_at_the_end(tmp_path: Path) -> None:
    config = tiny(tmp_path, steps=1000, rate=2e-3, cooldown=0.2)
    rates = [learning_rate(step, config) for step in range(config.steps + 1)]
    assert rates[0] == pytest.approx(2e-3 / WARM_UP_STEPS)
    assert rates[:WARM_UP_STEPS] == sorted(rates[:WARM_UP_STEPS])
    assert set(rates[WARM_UP_STEPS:801]) == {2e-3}
    assert rates[801:] == sorted(rates[801:], reverse=True)
    assert rates[900] == pytest.approx((2e-3 + LAST_RATE) / 2)
    assert rates[-1] == pytest.approx(LAST_RATE)


def test_the_loss_is_psnr_down_to_what_is_faint() -> None:
    clean = torch.full((2, 3, 16, 16), 0.5)

    def loss(off: float, faint: float = 0.01) -> float:
        return float(deraining_loss(clean + off, clean, faint))

    assert loss(0.2) - loss(0.1) == pytest.approx(math.log(2), abs=0.01)
    assert loss(0.001) - loss(0.0) < 0.01
    assert loss(0.0, faint=0.004) == pytest.approx(math.log(0.004))
    one_dry = torch.cat((clean[:1] + 0.1, clean[1:]))
    assert float(deraining_loss(one_dry, clean, 0.01)) == pytest.approx((loss(0.1) + loss(0.0)) / 2)


def test_a_network_begins_at_the_scale_of_its_input_and_changes_little(tmp_path: Path, material: Material) -> None:
    network = Trainer(tiny(tmp_path), material, material).network
    with torch.no_grad():
        embedded = network.patch_embed(torch.randn(1, network.patch_embed.proj.in_channels, 48, 48))
        frames = torch.rand(1, 9, 32, 32)
        change = network(frames) - frames[:, 3:6]
        assert float(embedded.std()) == pytest.approx(1, abs=0.2)
        assert not network.encoder_level0[0].second.weight.any()
        assert 0 < float(change.abs().mean()) < 0.2


def test_weights_of_another_network_are_refused_in_words(tmp_path: Path, material: Material) -> None:
    trained(tiny(tmp_path / "small", steps=2), material)
    other = Trainer(tiny(tmp_path / "other", widths=(24, 48, 96, 192)), material, material)
    with pytest.raises(TrainingError, match="is of another network; set widths"):
        other.start_from(str(tmp_path / "small" / "weights.safetensors"))


def test_a_damaged_checkpoint_is_refused_in_words(tmp_path: Path, material: Material) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"PK" + bytes(40))
    with pytest.raises(TrainingError, match="is damaged; remove it"):
        Trainer(tiny(tmp_path), material, material).resume()


def test_a_checkpoint_of_another_optimiser_is_refused_in_words(tmp_path: Path, material: Material) -> None:
    trained(tiny(tmp_path, steps=2), material)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save(saved | {"optimiser": {"state": {}, "param_groups": []}}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match=r"is of an earlier version; .* with start=.*weights\.safetensors"):
        Trainer(tiny(tmp_path), material, material).resume()


def test_material_that_is_too_small_is_refused_in_words(tmp_path: Path, material: Material) -> None:
    with pytest.raises(TrainingError, match="for windows of 512 leave it out"):
        Trainer(tiny(tmp_path, window=512), material, material)
    short = Material(material.photos, [material.clips[0][:2]])
    with pytest.raises(TrainingError, match="a clip is shorter than the 3 frames"):
        Trainer(tiny(tmp_path), short, short)


def test_train_divides_what_it_reads_and_leaves_weights(tmp_path: Path, clip: Path) -> None:
    for number in range(3):
        write_image(tmp_path / "photos" / f"{number}.png", torch.randint(0, 255, (3, 40, 48), dtype=torch.uint8))
    config = tiny(
        tmp_path / "made",
        photos=tmp_path / "photos",
        clips=(str(clip),),
        held_out_clip=clip,
        held_out_photos=1,
        window=32,
        steps=2,
        workers=1,
    )
    assert weights.build(weights.read(train(config)), "made").variant == variant_of(config)


def test_a_folder_without_photos_is_refused_in_words(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TrainingError, match="no photos to train on"):
            Material.read(folder)


def test_held_out_photos_are_the_last_and_never_all() -> None:
    photos = [torch.full((3, 2, 2), number, dtype=torch.uint8) for number in range(5)]
    learnt, judges = Material(photos, []).divided(2)
    assert [int(photo[0, 0, 0]) for photo in (*learnt, *judges)] == [0, 1, 2, 3, 4]
    assert len(judges) == 2
    assert [len(part) for part in Material(photos, []).divided(9)] == [1, 4]


def test_a_save_is_never_older_than_was_asked(tmp_path: Path, material: Material) -> None:
    """Killed at any moment, a run loses what came after the last save."""
    saved: list[int] = []

    class Watched(Trainer):
        def _save(self) -> None:
            saved.append(self.step)
            super()._save()

    minutes = iter(range(0, 10**6, 120))
    trainer = Watched(
        tiny(tmp_path, steps=7, validate_every=100, save_minutes=4.0), material, material, lambda: next(minutes)
    )
    trainer.run()
    assert saved == [2, 4, 6, 7]


def test_core_seconds_go_on_over_an_interruption(tmp_path: Path, material: Material) -> None:
    interrupted(tiny(tmp_path), material)
    before = json.loads((tmp_path / "state.json").read_text())
    assert before["step"] == 2
    assert before["core_seconds"] > 0
    trained(tiny(tmp_path), material)
    after = json.loads((tmp_path / "state.json").read_text())
    assert after["step"] == after["steps"] == 4
    assert after["core_seconds"] > before["core_seconds"]


def test_training_asks_for_rest_before_each_step(tmp_path: Path, material: Material) -> None:
    asked: list[int] = []
    trainer = Trainer(tiny(tmp_path, steps=3), material, material)
    trainer.run(rest=lambda: asked.append(trainer.step))
    assert asked == [0, 1, 2]


def _dtypes(trainer: Trainer) -> dict[str, torch.dtype]:
    """What comes out of each convolution."""
    seen: dict[str, torch.dtype] = {}
    for name, module in trainer.network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, _, output, name=name: seen.update({name: output.dtype}))
    trainer.network(torch.rand(1, 9, 32, 32))
    return seen


def test_bfloat16_reaches_all_but_the_transformer_blocks(
    tmp_path: Path, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamderain.training.trainer.is_quick_in_bfloat16", lambda: True)
    trainer = Trainer(tiny(tmp_path, bf16=True), material, material)
    seen = _dtypes(trainer)
    whole = {name for name, dtype in seen.items() if dtype == torch.float32}
    assert whole == {name for name in seen if ".attn." in name or ".ffn." in name}
    assert {seen[name] for name in seen.keys() - whole} == {torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in trainer.network.parameters())


def test_a_processor_that_is_slow_in_bfloat16_stays_in_float32(
    tmp_path: Path, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamderain.training.trainer.is_quick_in_bfloat16", lambda: False)
    assert set(_dtypes(Trainer(tiny(tmp_path, bf16=True), material, material)).values()) == {torch.float32}


@pytest.mark.parametrize(("float32", "bfloat16"), [(2.0, 1.0), (1.0, 2.0)])
def test_bfloat16_is_quick_where_the_clock_says_so(float32: float, bfloat16: float) -> None:
    # Both run once before they count.
    moments = accumulate(chain((0.0, 0.0), cycle((0.0, float32, 0.0, bfloat16))))
    assert is_quick_in_bfloat16(lambda: next(moments)) is (bfloat16 < float32)


def test_weights_in_float16_take_half_the_room(tmp_path: Path, material: Material) -> None:
    paths = {}
    for half in (False, True):
        trained(tiny(tmp_path / str(half), steps=2, float16=half), material)
        paths[half] = tmp_path / str(half) / "weights.safetensors"
    assert paths[True].stat().st_size < 0.7 * paths[False].stat().st_size
    whole, halved = (weights.load(str(paths[half])).state_dict() for half in (False, True))
    for name, value in whole.items():
        assert torch.equal(halved[name], value if name == "window" else value.half().float())
