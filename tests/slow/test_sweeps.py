"""A sweep whose driver is killed: its runs save and end by themselves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock

from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep
from tests.sweep.test_local import TEXT, newest


def test_when_the_driver_is_killed_the_runs_save_and_end(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(TEXT)
    words = ["sweep", str(tmp_path / "two.toml"), "--out", str(tmp_path / "sweep"), "--device", "cpu", "--jobs", "2"]
    driver = subprocess.Popen([sys.executable, "-m", "abruptlab", *words], start_new_session=True)
    try:
        while not (tmp_path / "sweep" / "sweep.toml").exists():
            time.sleep(0.1)
        sweep = Sweep(tmp_path / "sweep")
        while not all(newest(sweep.folder, point) >= 16 for point in sweep.points):
            time.sleep(0.1)
        driver.kill()
        driver.wait()
        for point in sweep.points:
            folder = sweep.folder / point.key
            with FileLock(folder / ".lock", timeout=60):  # which its process held
                assert len(Run(folder).metrics["step"]) == newest(sweep.folder, point)
    finally:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
