"""A Ray cluster of three nodes on this machine, one of which is killed in the middle of a sweep: about two minutes."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from abruptlab.sweep.file import Sweep

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed: extra cluster")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
TEXT = """
name = "four"
base = "smoke"
seeds = [0, 1]
overrides.training = { steps = 3000, rolling_every = 50 }
[[variants]]
label = "16"
[[variants]]
label = "32"
model = { width = 32, mlp_width = 64 }
"""


@contextmanager
def node(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A node of a cluster, from when it has joined until it is killed with everything in it."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *words, "--block", "--disable-usage-stats"]
    command += ["--object-store-memory", "80000000"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        assert any("Ray runtime started" in line for line in process.stdout)
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9 of a node: its processes form a group; those of its tasks see that it is gone, and end."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def start_sweep(folder: Path, out: str, *options: str) -> subprocess.Popen[str]:
    words = ["sweep", str(folder / "four.toml"), "--out", str(folder / out), "--device", "cpu", *options]
    command = [sys.executable, "-m", "abruptlab", *words]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def newest(folder: Path, key: str) -> int:
    """The step of a run's newest checkpoint."""
    return max((int(path.name[5:]) for path in (folder / key).glob("checkpoints/step_*")), default=0)


def test_a_node_is_killed_and_every_run_finishes_with_its_own_numbers(tmp_path: Path) -> None:
    (tmp_path / "four.toml").write_text(TEXT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    head = ["--head", "--port", address.partition(":")[2], "--num-cpus", "0", "--include-dashboard", "false"]
    with (
        node(*head),
        node("--address", address, "--num-cpus", "1"),
        node("--address", address, "--num-cpus", "2") as big,
    ):
        too_much = start_sweep(tmp_path, "sweep", "--ray", address, "--cpus-per-run", "64")
        assert "a run is to have 64 CPU and 0 GPU; no node of the cluster has: " in too_much.communicate()[0]
        driver = start_sweep(tmp_path, "sweep", "--ray", address)
        while not (tmp_path / "sweep" / "sweep.toml").exists():
            assert driver.poll() is None, driver.communicate()[0]
            time.sleep(0.2)
        sweep = Sweep(tmp_path / "sweep")
        # until all three processors are at it
        while sum(newest(sweep.folder, point.key) >= 64 for point in sweep.points) < 3:
            assert driver.poll() is None, driver.communicate()[0]
            time.sleep(0.2)
        kill(big)
        assert any(64 <= newest(sweep.folder, point.key) < 3000 for point in sweep.points)
        said = driver.communicate(timeout=280)[0]
        assert driver.returncode == 0, said
    assert "the node it was running on is dead" in said  # as Ray says when it starts a run again elsewhere
    start_sweep(tmp_path, "straight", "--jobs", "2").communicate(timeout=300)
    straight = Sweep(tmp_path / "straight").runs()
    for label, runs in sweep.runs().items():
        for run, other in zip(runs, straight[label], strict=True):
            np.testing.assert_array_equal(run.metrics["loss"], other.metrics["loss"])
    assert [len(runs) for runs in straight.values()] == [2, 2]
