"""What the words mean: a preset or a file wherever it stands, nothing passed over, and manners in a shell."""

import errno
import os
import subprocess
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest

import abruptlab as package
from abruptlab.cli.baseconfig import base_config
from abruptlab.cli.training import Reproduce, Train
from abruptlab.errors import DivergedError
from abruptlab.presets import PRESETS, preset
from abruptlab.run.run import Run
from tests.cli.test_cli import abruptlab

MINE = 'name = "mine"\nseed = 5\n[training]\nsteps = 2\nbatch = 4\n[task]\nrank = 1\nsizes = [[2, 3]]\n'
MODEL = "[model]\nwidth = 8\nheads = 2\nlayers = 1\nmlp_width = 8\n"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(MINE + MODEL)
    return tmp_path / "mine.toml"


def trained(folder: Path, *words: str | Path) -> tuple[str, int, int]:
    assert abruptlab(*words, "--out", folder, "--device", "cpu") == (0, "")
    config = Run(folder).config
    return config.name, config.seed, config.training.steps


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--config=FILE"],
        ["train", "--config", "FILE"],
        ["train", "--steps", "2", "--config=FILE"],
        ["train", "--config=FILE", "--steps=2"],
        ["train", "--resume", "--config", "FILE", "--mlp_width", "8"],
    ],
)
def test_a_file_is_found_however_it_is_written(words: list[str], mine: Path, tmp_path: Path) -> None:
    words = [word.replace("FILE", str(mine)) for word in words]
    assert trained(tmp_path / "run", *words) == ("mine", 5, 2)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "smoke", "--seed", "3", "--steps", "2"],
        ["train", "--seed", "3", "smoke", "--steps", "2"],
        ["train", "--seed", "3", "--steps", "2", "smoke"],
        ["train", "--seed=3", "--steps=2", "smoke"],
        ["train", "--no-resume", "--steps", "2", "--seed", "3", "smoke"],
        ["train", "smoke", "--sizes", "3", "4", "--seed", "3", "--steps", "2"],
    ],
)
def test_a_preset_is_found_wherever_it_stands(words: list[str], tmp_path: Path) -> None:
    assert trained(tmp_path / "run", *words) == ("smoke", 3, 2)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "laptop"),
        (["--device", "cpu", "smoke"], "smoke"),
        (["--seed", "5", "smoke"], "smoke"),
        (["--everything"], "laptop"),
        (["smoke", "--only", "laptop"], "smoke"),
    ],
)
def test_reproduce_trains_what_it_was_told(words: list[str], name: str) -> None:
    assert base_config(Reproduce, "reproduce", words) == preset(name)


def test_reproduce_of_a_file_is_not_the_laptop_s(mine: Path) -> None:
    for words in ([f"--config={mine}"], ["--config", str(mine)], ["--device", "cpu", "--config", str(mine)]):
        assert base_config(Reproduce, "reproduce", words).name == "mine"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train", "smoke", "--config", "FILE"], "expected a preset, --config or --from, got several: smoke, FILE"),
        (["train", "--config=FILE", "smoke"], "expected a preset, --config or --from, got several: smoke, FILE"),
        (["reproduce", "smoke", "--config=FILE"], "expected a preset or --config, got several: smoke, FILE"),
        (["train", "--config", "FILE", "--config", "nosuch.toml"], "--config: expected once, got it 2 times"),
        (["train", "--config=FILE", "--config=FILE"], "--config: expected once, got it 2 times"),
        (["train", "smoke", "--steps", "2", "--steps=3"], "--steps: expected once, got it 2 times"),
        (["train", "smoke", "--resume", "--no-resume"], "--resume: expected once, got it 2 times"),
        (["train", "smoke", "--mlp-width", "8", "--mlp_width", "4"], "--mlp-width: expected once, got it 2 times"),
        (["train", "smoke", "--step", "3"], "start.step: expected start.run beside it, got 3"),
        (["train", "--config=nosuch.toml"], "cannot read nosuch.toml"),
        (["reproduce", "--everything", "smoke"], "--everything: expected no preset"),
        (["reproduce", "--everything", "--config=FILE"], "--everything: expected no preset"),
    ],
)
def test_nothing_is_passed_over(words: list[str], line: str, mine: Path, tmp_path: Path) -> None:
    status, said = abruptlab(*[word.replace("FILE", str(mine)) for word in words])
    assert (status, said.count("\n")) == (1, 0)
    assert line.replace("FILE", str(mine)) in said
    assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.parametrize("flag", ["--ste", "--lear", "--conf", "--res", "--stepss", "-s"])
def test_flags_have_no_abbreviations(flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["train", "smoke", flag, "3"], ["train", flag, "3", "smoke"], ["train", "smoke", f"{flag}=3"]):
        assert abruptlab(*words)[0] == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--help"], ["smoke", "--help"], ["--help", "smoke"], ["--seed", "3", "-h"]])
def test_help_shows_the_values_of_the_preset(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("train", *words)[0] == 0
    steps = preset("smoke").training.steps if "smoke" in words else 50_000
    assert f"(default: {steps})" in capsys.readouterr().out
    assert base_config(Train, "train", words).training.steps == steps


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("--version") == (0, "")
    assert capsys.readouterr().out == f"{package.__version__}\n"
    assert package.__version__[0].isdecimal()


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = line.replace("abruptlab", f"{sys.executable} -m abruptlab")
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=os.environ | environment, capture_output=True, text=True, check=False, encoding="latin-1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "line", ["abruptlab presets | head -1", "abruptlab --help | head -1", "abruptlab presets | true"]
)
def test_a_reader_that_has_enough_gets_no_traceback(line: str) -> None:
    result = shell(line)
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == (0 if "true" in line else 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("abruptlab presets >&-", "standard output is closed; to see nothing of it: > /dev/null"),
        ("abruptlab complete - <&-", "standard input: expected a table, got a stream that is closed"),
    ],
)
def test_a_closed_stream_is_named(line: str, said: str) -> None:
    result = shell(line)
    assert (result.returncode, result.stderr) == (1, f"abruptlab: {said}\n")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_training_goes_on_when_nobody_reads_its_log(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(StringIO):
        def write(self, _: str) -> int:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("abruptlab.training.loop.REPORT_EVERY_S", 0.0)
    with redirect_stderr(Closed()):
        assert abruptlab("train", "smoke", "--steps", "4", "--out", tmp_path / "run", "--device", "cpu") == (0, "")
    assert Run(tmp_path / "run").finished


def test_a_terminal_without_the_letters_shows_the_rest() -> None:
    result = shell("abruptlab presets", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(PRESETS)
    assert "3?3 rank 1" in result.stdout
    result = shell("abruptlab ablate pocket --matrices 2 --heads 0.1", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("name", ["x[red]y", "a[/b]c", ":smile:", "[bold", "a b'c"])
def test_a_path_is_printed_as_it_is(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / name
    assert abruptlab("train", "smoke", "--steps", "2", "--out", folder, "--device", "cpu") == (0, "")
    assert f"run         {folder}: 2 of 2 steps" in capsys.readouterr().out
    assert abruptlab("train", "smoke", "--steps", "2", "--out", folder, "--resume", "--device", "cpu") == (0, "")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"abruptlab: {folder} is finished: all 2 steps were made before\n"


def test_the_command_to_go_on_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("abruptlab.training.loop.train", interrupted)
    monkeypatch.chdir(tmp_path)
    with redirect_stderr(StringIO()) as said:
        assert abruptlab("train", "smoke", "--out", "x[red]y")[0] == 130
    assert "stopped before the first step; nothing was written" in said.getvalue()  # nor can anything be gone on with
    (tmp_path / "x[red]y").mkdir()
    (tmp_path / "x[red]y" / "config.toml").touch()
    with redirect_stderr(StringIO()) as said:
        assert abruptlab("train", "smoke", "--out", "x[red]y")[0] == 130
    assert "abruptlab train --config 'x[red]y/config.toml' --out 'x[red]y' --resume\n" in said.getvalue()
    with redirect_stderr(StringIO()) as said:
        abruptlab("train", "smoke", "--out", "x[red]y", "--track", "tensorboard", "wandb", "--device", "cpu")
    assert said.getvalue().endswith("--resume --device cpu --track tensorboard wandb\n")
    words = ["reproduce", "smoke", "--out", "x[red]y"]
    monkeypatch.setattr(sys, "argv", ["abruptlab", *words])
    with redirect_stderr(StringIO()) as said:
        assert abruptlab(*words)[0] == 130
    assert said.getvalue().endswith("stopped; to go on: abruptlab reproduce smoke --out 'x[red]y'\n")  # and its figures


def test_one_part_that_fails_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []

    def make(_: Reproduce, name: str) -> None:
        made.append(name)
        if name == "laptop":
            raise DivergedError("the loss is nan")

    monkeypatch.setattr(Reproduce, "_reproduce_part", make)
    status, said = abruptlab("reproduce", "--everything", "--only", "laptop", "variants")
    assert (status, made) == (1, ["laptop", "variants"])
    assert said.startswith("abruptlab: laptop failed, as said above; to try again: ")
    assert capsys.readouterr().err == "abruptlab: laptop: the loss is nan\n"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "smoke", "--out", "LONG"],
        ["show", "LONG"],
        ["figure", "2", "pocket", "--out", "LONG"],
        ["report", "LONG"],
        ["watch", "LONG"],
        ["sweep", "smoke", "--out", "LONG"],
        ["sweep", "LONG"],
        ["train", "--config", "LONG"],
        ["paper", "--results", "LONG"],
    ],
)
def test_a_name_too_long_is_one_line(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = abruptlab(*[word.replace("LONG", 300 * "x") for word in words])
    assert (status, said.count("\n")) == (1, 0)
    assert "File name too long" in said or "neither" in said
    assert list(tmp_path.iterdir()) == []


def test_the_finished_and_the_tidied_up_from_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["train", "smoke", "--out", folder, "--steps", "8", "--device", "cpu"]
    assert abruptlab(*words) == (0, "")
    last = folder / "checkpoints" / "step_000008"
    for path in folder.rglob("optimizer.safetensors"):
        path.unlink()
    assert abruptlab(*words, "--resume") == (0, "")
    (last / "model.safetensors").unlink()
    status, said = abruptlab(*words, "--resume")
    assert (status, said.count("\n")) == (1, 0)
    assert "optimizer.safetensors: No such file or directory; everything is left as it was" in said
