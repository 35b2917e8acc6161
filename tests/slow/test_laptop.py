"""The main job, whole: about ten minutes on two cores."""

import signal
from pathlib import Path

import numpy as np

from abruptlab.paper import Findings, judge
from abruptlab.paper.training import CLAIMS
from abruptlab.presets import preset
from abruptlab.run.run import Run
from abruptlab.training.loop import train
from tests.cli.test_cli import start, wait_for_checkpoint


def test_the_laptop_preset_drops_and_the_claims_on_its_training_hold(tmp_path: Path) -> None:
    run = train(preset("laptop"), tmp_path / "laptop")
    assert run.drop is not None
    assert run.drop.end is not None
    assert [verdict.id for verdict in judge(Findings(run), CLAIMS) if verdict.outcome != "holds"] == []
    around = [step for step in run.steps if run.drop.onset <= step <= run.drop.end]
    assert len(around) >= (run.drop.end - run.drop.onset) // 100


def losses_until_interrupt(folder: Path, step: int, *arguments: str) -> np.ndarray:
    """Train the smoke preset, compiled, until a checkpoint is there, then press Ctrl-C."""
    process = start("--out", folder, "--compile", "yes", *arguments)  # without shape checks, which do not compile
    wait_for_checkpoint(folder, step, process)
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.communicate(timeout=300)[1]
    return Run(folder).metrics["loss"]


def test_a_compiled_run_on_the_cpu_resumes_exactly_and_follows_the_eager_one(tmp_path: Path) -> None:
    straight = losses_until_interrupt(tmp_path / "straight", 120)
    broken = losses_until_interrupt(tmp_path / "broken", 40)
    stopped = len(broken)
    broken = losses_until_interrupt(tmp_path / "broken", stopped - stopped % 20 + 40, "--resume")
    both = min(len(straight), len(broken))
    assert both > min(stopped, len(straight) - 1)
    np.testing.assert_array_equal(straight[:both], broken[:both])
    eager = train(preset("smoke"), tmp_path / "eager", device="cpu").metrics["loss"]
    np.testing.assert_allclose(straight[:60], eager, rtol=1e-3)
