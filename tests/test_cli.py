"""The command line as a user meets it: its exit code and its words, from another process where that matters."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from streamderain import cli
from tests.waiting import wait_until

COMMAND = [sys.executable, "-m", "streamderain"]


class Ended(BaseException):
    """Stands for the end of the process."""


def process(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, which takes seconds to start."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "COLUMNS": "200"}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment, cwd=cwd
    )


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program in this process, from its arguments to its exit code."""

    def end(code: int) -> None:
        raise Ended(code)

    said, root, level = (StringIO(), StringIO()), logging.getLogger(), logging.getLogger().level
    handlers = list(root.handlers)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said[0]), redirect_stderr(said[1]):
        patch.setattr(sys, "argv", ["streamderain", *map(str, arguments)])
        patch.setattr(os, "_exit", end)
        # What is the process's own: its name, its signals, and whether it tells URLs as they are.
        patch.setattr(cli, "redact_title", lambda: None)
        patch.setattr(cli, "_stop_in_order", lambda: None)
        patch.setattr("streamderain.media.url._whole", False)
        patch.setenv("COLUMNS", "200")
        patch.chdir(cwd or Path.cwd())
        with pytest.raises(Ended) as ended:
            cli.main()
    root.handlers[:] = handlers
    root.setLevel(level)
    return subprocess.CompletedProcess(arguments, ended.value.args[0], said[0].getvalue(), said[1].getvalue())


def test_help_loads_no_torch() -> None:
    code = (
        "from streamderain.cli.app import app; import sys\n"
        "try: app(['--help'], prog_name='streamderain')\n"
        "except SystemExit: print('torch' in sys.modules, 'av' in sys.modules, 'cv2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False False"
    for command in ("profile", "models", "export", "train", "rain", "evaluate", "judge", "doctor"):
        assert f"\n  {command} " in done.stdout


# By default all that OpenVINO prepares for the bundled network is made first.
@pytest.mark.parametrize("more", [("--backend", "torch"), pytest.param((), marks=pytest.mark.slow)], ids=str)
def test_the_bare_form_derains_and_sums_up_in_json(more: tuple[str, ...], clip: Path, tmp_path: Path) -> None:
    done = process(clip, tmp_path / "out.mp4", "--json", "--device", "cpu", *more)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["frames"] == 12
    assert summary["stations"][0]["name"] == "decode"
    assert (tmp_path / "out.mp4").exists()


def test_json_tells_what_the_log_would_and_errors_all_the_same(clip: Path, tmp_path: Path) -> None:
    quick = ("--json", "--device", "cpu", "--strength", "0", "--model", "fast")
    done = run(clip, tmp_path / "out.gif", *quick)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "out.gif: gif holds 256 colours a frame: what has more is rounded to them"
        in json.loads(done.stdout)["warnings"]
    )
    done = run("none.mp4", "out.mp4", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "streamderain: none.mp4 does not exist\n")
    done = run(clip, "out.mp4", "--json", "--encoder", "nonsense", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("streamderain: no encoder is called nonsense")


def test_options_may_come_first_and_quiet_is_quiet(clip: Path, tmp_path: Path) -> None:
    done = run("--quiet", "--crf", "30", "--encoder-option", "bf=0", clip, tmp_path / "out.mp4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_error_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    done = process("none.mp4", "out.mp4", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "streamderain: none.mp4 does not exist\n"
    assert "Traceback" in run("none.mp4", "out.mp4", "--debug", cwd=tmp_path).stderr


def test_settings_are_checked_before_anything_is_loaded(clip: Path, tmp_path: Path) -> None:
    done = run(clip, tmp_path / "out.mp4", "--set", "blnd=1")
    assert done.returncode == 1
    assert done.stderr == "streamderain: no setting is called blnd; did you mean blend?\n"


@pytest.mark.parametrize("stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGHUP])
def test_a_signal_stops_the_run_and_keeps_what_is_whole(tmp_path: Path, stop: signal.Signals) -> None:
    from streamderain.media.decoder import decode
    from streamderain.media.source import open_source
    from streamderain.media.synthetic import write_test_video

    write_test_video(tmp_path / "long.mp4", 32, 48, 2000)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(
        [*COMMAND, "long.mp4", "out.mkv", "--encoder", "ffv1", "--model", "fast", "--backend", "torch"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = tmp_path / "out.partial.mkv"
    # Some way into the file, as libav writes in large pieces.
    wait_until(lambda: process.poll() is not None or (partial.exists() and partial.stat().st_size > 50_000))
    process.send_signal(stop)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert said.startswith("streamderain: stopped; the first ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out.mkv").exists()
    with open_source(partial) as source:
        assert 1 <= sum(1 for _ in decode(source)) < 2000


@pytest.mark.parametrize("stop", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_ends_a_live_stream_and_its_recording_is_whole(tmp_path: Path, stop: signal.Signals) -> None:
    import av

    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    output = ["rec.mkv", "rtsp://me:secret@127.0.0.1:9/clean", "--model", "fast", "--backend", "torch", "--json"]
    process = subprocess.Popen(
        [*COMMAND, "test:64x48@10", *output],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    recording = tmp_path / "rec.mkv"
    wait_until(lambda: process.poll() is not None or (recording.exists() and recording.stat().st_size > 5_000))
    if (title := Path(f"/proc/{process.pid}/cmdline")).exists():
        assert "secret" not in title.read_text()
        assert "rtsp://***@127.0.0.1:9/clean" in title.read_text()
    process.send_signal(stop)
    printed, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "")
    assert "secret" not in printed
    numbers = json.loads(printed)
    assert numbers["received"] == numbers["published"] + sum(numbers["dropped"].values())
    assert [each["name"] for each in numbers["outputs"]] == ["rec.mkv", "rtsp://***@127.0.0.1:9/clean"]
    with av.open(recording) as file:
        assert sum(1 for _ in file.decode(video=0)) == numbers["published"] + numbers["filled"]


@pytest.mark.parametrize("stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_before_the_first_frame_is_no_success(tmp_path: Path, stop: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(
        [*COMMAND, "rtsp://127.0.0.1:9/away", "rec.mkv", "--model", "fast", "--backend", "torch"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    assert "refused" in process.stderr.readline()
    process.send_signal(stop)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert said.endswith("streamderain: stopped before the first frame\n")
    assert not (tmp_path / "rec.mkv").exists()


def test_the_list_of_processes_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamderain.cli.redaction import redact_title
    from tests.secrets import FORMS, SECRET

    titles: list[str] = []
    monkeypatch.setattr("setproctitle.setproctitle", titles.append)
    words = [*FORMS, *(f"--set=source={form}" for form in FORMS)]
    tokens = ["--token", SECRET, f"--token={SECRET}", "--set", f"token={SECRET}", f"--set=token={SECRET}"]
    tokens += ["--view-token", SECRET, f"--set=view_token={SECRET}"]
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "streamderain", *words, *tokens, "out.mkv"])
    redact_title()
    (title,) = titles
    assert SECRET not in title
    assert title.count("://") >= len(words)
    assert title.endswith(
        "--token *** --token=*** --set token=*** --set=token=*** --view-token *** --set=view_token=*** out.mkv"
    )


def test_urls_are_printed_whole_on_request() -> None:
    done = run("rtsp://me:secret@127.0.0.1:9/x", "rtps://me:secret@127.0.0.1:9/x/y", "--show-urls")
    assert "rtps://me:secret@127.0.0.1:9/x/y is of an unknown kind" in done.stderr


def test_a_traceback_tells_no_password() -> None:
    done = run("rtsp://me:secret@127.0.0.1:9/x", "rtps://me:secret@127.0.0.1:9/x", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "rtps://***@127.0.0.1:9/x is of an unknown kind" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("a.mp4", "b.mp4"), "2 outputs are named; a file goes into one, unless --realtime makes it live"),
        ((), "no output is named; name one, such as out.mp4"),
        (("--preview", "0"), "--preview is for live streams; --realtime makes a file one"),
        (("a.mp4", "--segment", "10m", "--keep", "7d"), "--segment is for live streams; --realtime makes a file one"),
        (("a.mp4", "--segment", "10m"), "--segment is for live streams; --realtime makes a file one"),
    ],
)
def test_what_a_file_cannot_have(arguments: tuple[str, ...], reason: str, clip: Path) -> None:
    from typer.testing import CliRunner

    from streamderain.cli.app import app

    assert str(CliRunner().invoke(app, [str(clip), *arguments]).exception) == reason


def test_evaluate_prints_a_table_and_writes_json(clip: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    done = run("evaluate", clip, clip, "--device", "cpu", "--model", "fast", "--frames", "3", "--json", scores)
    assert done.returncode == 0, done.stderr
    for word in ("nothing", "median", "fast", "clip.mp4", "mean of 1", "inf / 1.0000"):
        assert word in done.stdout
    assert json.loads(scores.read_text())["sets"]["clip.mp4"]["items"].keys() == {"clip.mp4"}


def test_evaluate_shows_flicker_and_draws_profiles(clip: Path, tmp_path: Path) -> None:
    done = run("evaluate", clip, clip, "--device", "cpu", "--model", "fast", "--frames", "3", "--plot", tmp_path / "p")
    assert done.returncode == 0, done.stderr
    for word in ("flicker 0.", "clean 0.", "tOF 0.000"):
        assert word in done.stdout
    assert (tmp_path / "p" / "clip.mp4-clip.mp4-fast.png").is_file()


def test_evaluate_still_needs_no_clean_video_and_takes_none(clip: Path, tmp_path: Path) -> None:
    refused = run("evaluate", "--still", clip, clip)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "is not needed with --still" in refused.stderr
    scores = tmp_path / "scores.json"
    done = run("evaluate", "--still", clip, "--device", "cpu", "--strength", "0", "--model", "fast", "--json", scores)
    assert done.returncode == 0, done.stderr
    assert "of 100%" in done.stdout
    assert json.loads(scores.read_text())["sets"]["still"]["items"]["clip.mp4"]["fast"]["share"] > 0.5


def test_evaluate_shows_of_large_sets_the_mean_alone(tmp_path: Path) -> None:
    import torch

    from tests.pictures import write_image

    for name in ("small", *(f"large{number}" for number in range(13))):
        for kind in ("rainy", "clean"):
            folder = tmp_path / name.rstrip("0123456789") / kind
            write_image(folder / f"{name}.png", torch.full((3, 16, 16), 100, dtype=torch.uint8))
    done = run("evaluate", tmp_path, "--device", "cpu", "--strength", "0")
    assert done.returncode == 0, done.stderr
    assert "small.png" in done.stdout
    assert "mean of 13" in done.stdout
    assert "large7.png" not in done.stdout
    assert "is no folder of sets" in run("evaluate", tmp_path / "none").stderr


def test_profile_measures_gives_its_verdict_and_saves_what_is_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    from streamderain.profiling.profile import Limits
    from streamderain.profiling.rows import Size
    from tests.networks.small import network

    save_file(network().state_dict(), tmp_path / "tiny.safetensors")
    sizes = ("--resolution", "64x48")
    ways = ("--model", "tiny.safetensors", "--backend", "torch", "--batch", "1", "--batch", "2")
    outputs = ("--json", "p.json", "--plot", "p.png", "--save")
    monkeypatch.setattr("streamderain.profiling.bench.FIDELITY_SIZE", Size(48, 64))
    monkeypatch.setattr("streamderain.profiling.profile.FIDELITY_SIZE", Size(48, 64))
    # On a busy machine it takes more than its minute.
    monkeypatch.setattr("streamderain.profiling.profile.QUICK_LIMITS", Limits())
    done = run("profile", "--quick", *sizes, *ways, "--device", "cpu", *outputs, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "p.json").read_text())
    assert [(row["resolution"], row["batch"]) for row in found["rows"]] == [("64x48", 1), ("64x48", 2)]
    for row in found["rows"]:
        assert row["fps"] > 0
        assert row["psnr_db"] == "equal"
        assert row["verdicts"]["25"] in done.stdout
    assert found["summary"] in done.stdout
    assert found["machine"]["processor"] in done.stdout
    assert (tmp_path / "p.png").stat().st_size > 10_000
    assert f"batch: {found['best']['batch']}" in Path(os.environ["STREAMDERAIN_SETTINGS"]).read_text()


def test_derain_starts_from_saved_settings_and_doctor_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from streamderain.cli.app import app
    from streamderain.config import DerainConfig
    from streamderain.doctor import examine
    from streamderain.errors import ConfigError

    seen: list[DerainConfig] = []

    def derain(source: str, output: str, config: DerainConfig, report: object) -> None:
        seen.append(config)
        raise ConfigError("that is enough")

    monkeypatch.setattr("streamderain.run.derain", derain)
    settings = Path(os.environ["STREAMDERAIN_SETTINGS"])
    for text, arguments in (
        ("", []),
        ("batch: 3\nblend: 0.5\n", ["--blend", "0.25"]),
        ("batch: 3\ndevice: cuda\n", ["--device", "cpu"]),
    ):
        settings.write_text(text)
        assert str(CliRunner().invoke(app, ["in.mp4", "out.mp4", *arguments]).exception) == "that is enough"
    assert [(config.batch, config.blending) for config in seen] == [(0, 1.0), (3, 0.25), (0, 1.0)]
    assert dict(examine())["settings"] == f"batch 3, device cuda; from {settings}"
    settings.write_text("bach: 1\n")
    said = "no setting is called bach; did you mean batch?; correct or delete"
    assert said in str(CliRunner().invoke(app, ["in.mp4", "out.mp4"]).exception)
    assert len(seen) == 3
    assert said in dict(examine())["settings"]
    settings.unlink()
    assert "profile --save" in dict(examine())["settings"]


def test_profile_refuses_before_it_measures() -> None:
    assert run("profile", "--resolution", "big").stderr.startswith("streamderain: big is no resolution")
    assert run("profile", "--plot", "p.jpeg").stderr.startswith("streamderain: p.jpeg has an ending")


def test_models_lists_what_is_known_and_what_is_present(tmp_path: Path) -> None:
    said = run("models").stdout
    assert "fast: " in said
    assert "present: " in said
    assert "drsformer-rain200h: " in said
    (tmp_path / "no.pth").write_text("no weights")
    refused = run("models", "add", tmp_path / "no.pth")
    assert refused.returncode == 1
    assert "is no weights file" in refused.stderr


def test_export_writes_what_its_flag_or_the_ending_says(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from tests.networks.small import network

    save_file(network().state_dict(), tmp_path / "tiny.safetensors")
    for arguments, written in ((["--onnx"], "tiny.onnx"), (["net.pt"], "net.pt")):
        done = run("export", *arguments, "--model", "tiny.safetensors", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{written} is written, and answers as tiny.safetensors does\n"
        assert (tmp_path / written).stat().st_size > 1_000_000
    refused = run("export", "--torchscript", "net.pt", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == "streamderain: net.pt exists; --overwrite replaces it, or name another output\n"
    refused = run("export", "--torchscript", "--onnx", "net.pt", "--overwrite")
    assert refused.stderr == "streamderain: onnx and torchscript are both set; a file can be one of them\n"


def test_doctor_says_what_will_be_used() -> None:
    said = run("doctor").stdout
    assert "will use:" in said
    assert "hardware encoders:  built in" in said
    assert "libx264" not in said, "what is in every build says nothing of this machine"


@pytest.mark.parametrize(
    ("settings", "shown"),
    [("batch: 3\n", "batch 3; from ~/settings.yaml"), ("encoder: rtsp://me:s3cr3t@host/x\nnone: 1\n", "none")],
)
def test_doctor_in_json_tells_no_home_and_no_secret(
    settings: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from streamderain.cli.app import app

    own = tmp_path / "jane"
    own.mkdir()
    (own / "settings.yaml").write_text(settings)
    places = {
        "HOME": own,
        "STREAMDERAIN_SETTINGS": own / "settings.yaml",
        "STREAMDERAIN_CACHE": "/home/other doe/cache",
    }
    for name, value in places.items():
        monkeypatch.setenv(name, str(value))
    done = CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert {"streamderain", "system", "libraries", "cuda", "will use"} <= found.keys()
    assert found["cache"].startswith("~/cache, ")
    assert shown in found["settings"]
    assert not [word for word in ("jane", "doe", "s3cr3t") if word in done.stdout]


def test_rain_falls_on_a_video_and_on_pictures(clip: Path, tmp_path: Path) -> None:
    import torch

    from tests.pictures import write_image

    done = run("rain", clip, "rainy.mp4", "--rate", "20", "--wind", "3", "--seed", "1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("rainy.mp4: 12 frames in ")
    write_image(tmp_path / "dry" / "a.png", torch.full((3, 40, 50), 80, dtype=torch.uint8))
    done = run("rain", "dry", "wet", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "wet" / "a.png").exists()
    refused = run("rain", clip, "rainy.mp4", "--crf", "20", "--bitrate", "100", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == "streamderain: bitrate and crf are both set; the encoder can follow one of them\n"


def test_train_writes_weights_that_derain(clip: Path, tmp_path: Path) -> None:
    import torch

    from tests.pictures import write_image

    for number in range(3):
        write_image(tmp_path / "photos" / f"{number}.png", torch.randint(0, 255, (3, 160, 160), dtype=torch.uint8))
    (tmp_path / "tiny.yaml").write_text(
        "widths: [8, 16, 32, 64]\nblocks: [1, 1, 1, 1]\nsteps: 1\nbatch: 1\npatch: 32\nworkers: 0\ndevice: cpu\n"
        "window: 32\nheld_out_samples: 2\n"
    )
    done = run("train", "--config", "tiny.yaml", "--photos", "photos", "--folder", "made", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run(clip, "out.mp4", "--model", "made/weights.safetensors", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("name", "saving"), [("OPENCV_FOR_THREADS_NUM", "1"), ("OMP_WAIT_POLICY", "PASSIVE")])
@pytest.mark.parametrize(
    ("cores", "asked", "is_set"), [(2, None, True), (1, None, True), (8, None, False), (2, "other", False)]
)
def test_few_cores_are_left_to_the_stations(
    name: str, saving: str, cores: int, asked: str | None, is_set: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "cores_here", lambda: cores)
    for each in ("OPENCV_FOR_THREADS_NUM", "OMP_WAIT_POLICY"):
        # By setting it first, so that it is taken away again.
        monkeypatch.setenv(each, asked or "")
        if asked is None:
            monkeypatch.delenv(each)
    cli._share_few_cores()
    assert os.environ.get(name) == (saving if is_set else asked)
