"""The batch files of docs/slurm.md under a real Slurm (Debian's slurm-wlm): a controller and one node on this machine.

Sizes are small; for the rest the files are those of the page. A job that has used up its time is put back into the
queue by its own script, and goes on with the numbers of an undisturbed run.
"""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep
from abruptlab.training.loop import train

PAGE = Path(__file__).parents[2] / "docs" / "slurm.md"
DAEMONS = ("munged", "slurmctld", "slurmd")
CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

pytestmark = pytest.mark.skipif(
    os.name != "posix" or os.getuid() != 0 or not all(map(shutil.which, DAEMONS)),
    reason="needs Slurm (apt-get install slurm-wlm munge) and root, to start it",
)


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    ports = free_port(), free_port()
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, host=socket.gethostname().split(".")[0], ports=ports))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        options = {"socket": "munge.socket", "key-file": key.name, "log-file": "munge.log", "seed-file": "seed"}
        options["pid-file"] = "munged.pid"
        subprocess.run(
            ["munged", "--force", *(f"--{name}={folder / file}" for name, file in options.items())], check=True
        )
        subprocess.run(["slurmctld"], check=True)
        subprocess.run(["slurmd"], check=True)
        try:
            wait_for(lambda: "idle" in said("sinfo", "--noheader"), 60)
            yield
        finally:
            for name in reversed(DAEMONS):
                os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the commands on the PATH."""
    for name, module in (("abruptlab", "abruptlab"), ("torchrun", "torch.distributed.run")):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.setenv("CHECK_SHAPES", "no")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_for(holds: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, said("scontrol", "show", "job") + "".join(
            log.read_text() for log in Path().glob("*.log")
        )
        time.sleep(0.5)


def submit(name: str, *options: str, **changes: str) -> str:
    """Submit a batch file of the page with some words changed; its number."""
    [text] = re.findall(rf"^```bash\n(#!/bin/bash\n# {name}\n.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for old, new in {"64G": "1G", "4G": "1G", "task=16": "task=2", "task=2": "task=1", **changes}.items():
        text = text.replace(old, new)
    Path(name).write_text(text)
    return said("sbatch", "--parsable", *options, name).strip()


def state(job: str) -> str:
    return said("squeue", "--noheader", "--states=all", "--jobs", job, "--format=%T").strip()


def newest(run: Path) -> int:
    return max((int(path.name[5:]) for path in run.glob("checkpoints/step_*")), default=-1)


def release(job: str) -> None:
    """Start a job that has been put back into the queue, where Slurm lets it wait for two minutes, with time enough."""
    wait_for(lambda: state(job) == "PENDING" and "Restarts=1" in said("scontrol", "show", "job", job))
    said("scontrol", "update", f"JobId={job}", "StartTime=now", "TimeLimit=60")


def test_a_run_longer_than_its_job_goes_on_in_the_next(slurm: None, here: Path) -> None:
    steps = "--steps 1000000 --rolling-every 1000000 --checkpoint-every 1000000"
    job = submit("train.sbatch", "--time=1", "--signal=USR1@30", **{"train laptop": f"train smoke {steps}"})
    release(job)  # its minute was over, and the script has put it back
    saved = newest(here / "runs/laptop")
    assert saved.bit_count() > 1  # saved for the signal: the others are at powers of two
    wait_for(lambda: len(Run(here / "runs/laptop").metrics["step"]) > saved + 50)
    said("scancel", job)
    wait_for(lambda: state(job) == "CANCELLED")
    time.sleep(5)
    assert state(job) == "CANCELLED"  # and is not put back
    run = Run(here / "runs/laptop")
    losses = run.metrics["loss"]
    assert len(losses) > saved
    short = run.config.from_toml(run.config.to_toml().replace("steps = 1000000", f"steps = {saved + 50}"))
    np.testing.assert_array_equal(train(short, here / "straight", device="cpu").metrics["loss"], losses[: saved + 50])


def test_an_array_shares_out_the_runs_of_a_sweep(slurm: None, here: Path) -> None:
    (here / "width.toml").write_text('name = "width"\nbase = "smoke"\nseeds = [0, 1, 2, 3, 4, 5]\n')
    job = submit("sweep.sbatch", **{"1-4": "1-2"})
    wait_for(lambda: set(state(job).split()) == {"COMPLETED"})
    runs = Sweep(here / "runs/sweeps/width").runs()["smoke"]
    assert len(runs) == 6
    logs = [path.read_text() for path in here.glob("width-*.log")]
    trained = [{run.config.seed for run in runs if f"done: smoke seed {run.config.seed}," in log} for log in logs]
    assert all(trained)
    assert set.union(*trained) == {0, 1, 2, 3, 4, 5}


def test_several_processes_of_a_run_are_saved_and_go_on(slurm: None, here: Path) -> None:
    changes = {"#SBATCH --gpus=8\n": "", '"$SLURM_GPUS_ON_NODE"': "2", "paper --precision bf16": "smoke --device cpu"}
    job = submit("torchrun.sbatch", **changes, **{"--resume": "--steps 1000000 --resume"})
    wait_for(lambda: newest(here / "runs/paper") >= 64)
    said("scancel", "--batch", "--signal=USR1", job)
    release(job)
    saved = newest(here / "runs/paper")
    wait_for(lambda: newest(here / "runs/paper") > saved)
    said("scancel", job)
    wait_for(lambda: state(job) == "CANCELLED")
