"""One run in two processes: the same numbers as in one, but for the order in which they are added."""

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributed import HashStore  # pyright: ignore

from abruptlab.cli import main
from abruptlab.errors import ConfigError
from abruptlab.run.run import Run
from abruptlab.training.loop import train
from abruptlab.training.ranks import Ranks, torchrun
from tests import two_ranks
from tests.forks import forked

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    command = [*TORCHRUN, str(ROOT / "tests" / "two_ranks.py"), str(folder)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_what_goes_on_starts_as_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = Ranks()
    assert ranks.program == ["abruptlab"]
    ranks.count = 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # on this machine, of two
    assert ranks.program == ["torchrun", "--nproc-per-node=2", "-m", "abruptlab"]


@pytest.mark.parametrize("name", [*two_ranks.RUNS, "frozen"])
def test_two_processes_follow_one(folder: Path, tmp_path: Path, name: str) -> None:
    config = two_ranks.frozen(folder) if name == "frozen" else two_ranks.RUNS[name]
    one, two = train(config, tmp_path, device="cpu"), Run(folder / name)
    tolerance = 1e-3 if name == "muon" else 1e-5  # Muon orthogonalises in bf16
    assert two.metrics["step"].tolist() == list(range(60))
    for metric in ("loss", "loss_observed", "loss_masked", "mean_abs_masked"):
        np.testing.assert_allclose(two.metrics[metric], one.metrics[metric], rtol=tolerance, err_msg=metric)
    assert two.made_with["processes"] == "2"
    theirs = two.load(60)
    for parameter, value in one.load(60).named_parameters():
        if not parameter.endswith("qkv.bias"):  # a key's bias changes nothing: its gradient is noise, which Adam scales
            torch.testing.assert_close(theirs.get_parameter(parameter), value, rtol=tolerance, atol=tolerance)


def test_an_interrupt_of_one_process_stops_both_and_resuming_changes_nothing(folder: Path) -> None:
    resumed, whole = Run(folder / "resumed"), Run(folder / "whole")
    assert 33 in set(resumed.steps) - set(whole.steps)  # where it was interrupted
    for metric in ("loss", "loss_observed", "loss_masked", "mean_abs_masked"):
        np.testing.assert_array_equal(resumed.metrics[metric], whole.metrics[metric])


def test_a_batch_that_cannot_be_shared_out_is_one_line(folder: Path) -> None:
    said = (folder / "odd.txt").read_text()
    assert said == "batch: expected a multiple of the number of processes (2), got 15"
    assert not (folder / "odd").exists()


def test_the_error_of_one_process_ends_all_and_is_said_once(folder: Path, tmp_path: Path) -> None:
    words = ["train", "smoke", "--device", "cpu", "--out", str(folder / "whole")]  # is found by the first process alone
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}

    def one_of_two(rank: int) -> None:
        os.environ.update(meeting | {"RANK": str(rank), "TORCHELASTIC_RUN_ID": "test"})
        main(words)

    said = tmp_path / "said"
    with said.open("w") as file:
        processes = [forked(partial(one_of_two, rank), file.fileno()) for rank in (0, 1)]
        for process in processes:
            process.join(60)
    assert [process.exitcode for process in processes] == [1, 1]
    refused = "already holds this run; resume it (--resume), or choose another folder"
    assert said.read_text() == f"abruptlab: {folder / 'whole'} {refused}\n"


def test_without_torchrun_a_process_is_alone() -> None:
    with torchrun("mps") as device:  # which would be refused, were there others
        assert device == "mps"
        ranks = Ranks()
        assert (ranks.leads, ranks.count, ranks.any(False), ranks.any(True)) == (True, 1, False, True)


@pytest.mark.parametrize("command", ["reproduce", "sweep"])
def test_torchrun_goes_with_train_alone(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    with pytest.raises(SystemExit, match=r"^abruptlab: expected no torchrun, with which only train goes together: "):
        main([command, "smoke"])


def test_torchrun_shares_out_cpu_and_cuda_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    store = HashStore()
    monkeypatch.setattr("abruptlab.training.ranks.rendezvous", lambda url: iter([(store, 0, 2)]))
    with (
        pytest.raises(ConfigError, match=r"--device: expected cpu or cuda with torchrun.*got 'cuda:1'"),
        torchrun("cuda:1"),
    ):
        pass
    with pytest.raises(SystemExit), torchrun("cuda:1"):  # the second to fail has nothing to say
        pass
