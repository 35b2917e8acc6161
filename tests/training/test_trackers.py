"""Trackers beside the metrics file: what each has written is read back; one that fails stops nothing."""

import json
import math
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from abruptlab.cli import main
from abruptlab.config import ModelConfig, RunConfig
from abruptlab.errors import AbruptlabError
from abruptlab.model.groups import SINGLE, parameters_of
from abruptlab.presets import preset
from abruptlab.run.measures import MEASURES, read_measures
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep
from abruptlab.task.window_sum import WindowSum
from abruptlab.training import trackers
from abruptlab.training.loop import Progress, train
from abruptlab.training.recorder import Recorder
from abruptlab.training.state import TrainingState
from abruptlab.training.trackers import Tracker
from tests.fuzz.kills import killed
from tests.sweep.test_drive import Inline


def smoke(**training: Any) -> RunConfig:
    config = preset("smoke")
    return replace(config, training=replace(config.training, **training))


SMOKE = smoke(norms_every=20)


@pytest.fixture(autouse=True)
def report_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abruptlab.training.loop.REPORT_EVERY_S", 0.02)


def interrupt(progress: Progress) -> None:
    if progress.step >= 20:
        os.kill(os.getpid(), signal.SIGINT)


def train_twice(config: RunConfig, folder: Path, tracker: Any) -> Run:
    """Interrupted, then gone on with from the checkpoint before the last: some steps are made twice."""
    with pytest.raises(KeyboardInterrupt):
        train(config, folder, device="cpu", report=interrupt, track=[tracker])
    return train(config, folder, device="cpu", resume=True, track=[tracker])


def train_killed(config: RunConfig, folder: Path, tracker: Any) -> Run:
    """Killed after a checkpoint whose rows have not been handed on yet, and gone on with."""
    save = Recorder.save

    def save_and_die(recorder: Recorder, state: TrainingState) -> None:
        save(recorder, state)
        if state.step == 40:
            os.killpg(0, signal.SIGKILL)

    def doomed() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Recorder, "save", save_and_die)
            patch.setattr("abruptlab.training.loop.REPORT_EVERY_S", 0.2)
            train(config, folder, device="cpu", track=[tracker])

    assert killed(doomed, None)
    time.sleep(1)  # TensorBoard orders its files by the second
    return train(config, folder, device="cpu", resume=True, track=[tracker])


@pytest.mark.parametrize("again", [train_twice, train_killed])
def test_tensorboard_has_every_step_of_a_resumed_run(tmp_path: Path, again: Callable[..., Run]) -> None:
    run = again(SMOKE, tmp_path / "run", "tensorboard")
    events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    names = {"loss", "loss_masked", "learning_rate", "grad_norm/mlp", "weight_norm/read-out"}
    assert names <= {*events.Tags()["scalars"]}
    losses = events.Scalars("loss")
    assert [event.step for event in losses] == list(range(60))
    np.testing.assert_allclose([event.value for event in losses], run.metrics["loss"], rtol=1e-6)
    assert [event.step for event in events.Scalars("grad_norm/mlp")] == [0, 20, 40]


MEASURED = RunConfig(
    task=WindowSum(length=4, window=2, modulus=7),
    model=ModelConfig("decoder", layers=1, heads=1, width=8, mlp_width=16, mask_embedding="trained"),
    training=replace(SMOKE.training, norms_every=None, measure_every=12),
)


def test_tensorboard_has_the_measures_of_a_resumed_run(tmp_path: Path) -> None:
    run = train_twice(MEASURED, tmp_path / "run", "tensorboard")
    events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    rows = read_measures(run.folder / "measures.jsonl")
    assert [row["step"] for row in rows] == [0, 12, 24, 36, 48, 60]  # after the last step, too
    for name in MEASURES:
        found = [(event.step, pytest.approx(event.value, abs=1e-6)) for event in events.Scalars(f"measures/{name}")]
        assert found == [(row["step"], row[name]) for row in rows]


def test_a_finished_run_is_handed_on_when_a_tracker_comes_later(tmp_path: Path) -> None:
    run = train(MEASURED, tmp_path / "run", device="cpu")
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with pytest.warns(UserWarning, match="is finished"):
        train(MEASURED, run.folder, device="cpu", resume=True, track=["tensorboard"])
    events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(60))
    assert [event.step for event in events.Scalars("measures/collapse")] == [0, 12, 24, 36, 48, 60]
    assert {path: path.read_bytes() for path in before} == before


class Remembering(Tracker):
    """Knows up to which step it has something, as a server does, and takes what comes for an earlier one."""

    given: ClassVar[dict[int, dict[str, float]]] = {}

    def __init__(self, *_: object) -> None:
        self.has = max(self.given, default=-1) + 1

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.given[step] = self.given.get(step, {}) | metrics

    def close(self) -> None:
        pass


def test_a_run_that_goes_on_beyond_its_end_leaves_no_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measures after what was the last step come before the row of that step."""
    monkeypatch.setitem(trackers.TRACKERS, "wandb", Remembering)
    monkeypatch.setattr("abruptlab.training.loop.require_trackers", lambda names: None)
    for steps in (24, 36):
        config = replace(MEASURED, training=replace(MEASURED.training, steps=steps))
        train(config, tmp_path / "run", device="cpu", resume=True, track=["wandb"])
    assert [step for step, metrics in Remembering.given.items() if "loss" in metrics] == list(range(36))
    assert [step for step, metrics in Remembering.given.items() if "measures/collapse" in metrics] == [0, 12, 24, 36]


def test_every_run_of_a_sweep_is_tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two.toml").write_text('name = "two"\nbase = "smoke"\nseeds = [0, 1]\noverrides.training.steps = 6\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("abruptlab.sweep.local.LocalProcesses", lambda *_: Inline())
    main(["sweep", "two.toml", "--track", "tensorboard", "--jobs", "1", "--device", "cpu"])
    runs = Sweep(tmp_path / "runs/sweeps/two").runs()["smoke"]
    for run in runs:
        losses = EventAccumulator(str(run.folder / "tensorboard")).Reload().Scalars("loss")
        np.testing.assert_allclose([event.value for event in losses], run.metrics["loss"], rtol=1e-6)
    assert len(runs) == 2


def wandb_records(path: Path) -> Iterator[bytes]:
    """The records of a .wandb file, which is written as LevelDB writes its log: blocks of 32 KiB, of chunks that have a
    checksum, a length and a kind (whole, first, middle, last) at their head; the file's own head is as long as one."""
    data, at, record = path.read_bytes(), 7, b""
    while at < len(data):
        if 2**15 - at % 2**15 < 7:  # too little room for a head
            at += 2**15 - at % 2**15
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def test_of_a_resumed_run_the_second_offline_file_of_wandb_has_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    run = train_twice(SMOKE, tmp_path / "run", "wandb")
    wandb.teardown()  # its service writes the last block of a file after the run's own end
    found: dict[int, float] = {}
    files = sorted((run.folder / "wandb").glob("offline-run-*/*.wandb"))  # its folder has the time when it was begun
    assert [path.name for path in files] == [f"run-{(run.folder / 'tracker-id').read_text()}.wandb"] * 2
    for data in wandb_records(files[-1]):  # which a sync puts in the place of the first
        record = wandb_internal_pb2.Record()  # pyright: ignore[reportAttributeAccessIssue]
        record.ParseFromString(data)
        row = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        if row:
            found[row["step"]] = row["loss"]
    assert sorted(found) == list(range(60))
    np.testing.assert_allclose([found[step] for step in range(60)], run.metrics["loss"], rtol=1e-6)


@pytest.fixture(scope="module")
def trackio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """With a data base of its own: where it lies, trackio reads once, when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(tmp_path_factory.mktemp("trackio")))
        yield pytest.importorskip("trackio")


@pytest.mark.parametrize("again", [train_twice, train_killed])
def test_trackio_has_every_step_of_a_resumed_run_once(tmp_path: Path, trackio: Any, again: Callable[..., Run]) -> None:
    from trackio.sqlite_storage import SQLiteStorage  # pyright: ignore[reportMissingImports]

    run = again(SMOKE, tmp_path / "run", "trackio")
    name = f"smoke-seed0-{(run.folder / 'tracker-id').read_text()}"
    assert [each.name for each in trackio.Api().runs("abruptlab")].count(name) == 1
    rows = SQLiteStorage.get_logs("abruptlab", name)
    assert [row["step"] for row in rows] == list(range(60))
    np.testing.assert_allclose([row["loss"] for row in rows], run.metrics["loss"], rtol=1e-6)
    assert [row["step"] for row in rows if "grad_norm/mlp" in row] == [0, 20, 40]


def test_trackio_without_a_place_to_write_stops_no_training(
    tmp_path: Path, trackio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path / "file" / "no-folder")
    with pytest.warns(UserWarning, match="trackio failed to flush metric logs"):
        run = train(SMOKE, tmp_path / "run", device="cpu", track=["trackio"])
    assert run.finished


class Broken(Tracker):
    """Fails at some moment."""

    moment = "log"

    def __init__(self, *_: object) -> None:
        self._fail("start")

    def log(self, step: int, metrics: dict[str, float]) -> None:
        if step == 30:
            self._fail("log")

    def close(self) -> None:
        self._fail("close")

    def _fail(self, moment: str) -> None:
        if moment == self.moment:
            raise ConnectionError("the server is gone\nsince noon")


@pytest.mark.parametrize("moment", ["start", "log", "close"])
def test_a_tracker_that_fails_stops_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    monkeypatch.setitem(trackers.TRACKERS, "wandb", Broken)
    monkeypatch.setattr(trackers, "require_trackers", lambda names: None)
    monkeypatch.setattr("abruptlab.training.loop.require_trackers", lambda names: None)
    monkeypatch.setattr(Broken, "moment", moment)
    said: list[str] = []
    run = train(SMOKE, tmp_path / "run", device="cpu", track=["wandb"], warn=said.append)
    assert run.finished
    assert said == ["tracker wandb failed, and is given up: the server is gone since noon"]
    with pytest.warns(UserWarning, match="tracker wandb failed, and is given up"):
        train(SMOKE, tmp_path / "other", device="cpu", track=["wandb"])


def test_a_tracker_that_is_not_installed_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(AbruptlabError, match="tracker wandb is not installed: pip install wandb"):
        train(SMOKE, tmp_path / "run", device="cpu", track=["wandb"])
    assert not (tmp_path / "run").exists()
    with pytest.raises(SystemExit, match="tracker wandb is not installed"):
        main(["train", "smoke", "--out", str(tmp_path / "run"), "--track", "wandb"])


def test_norms_are_those_of_the_weights_and_gradients(tmp_path: Path) -> None:
    config = smoke(norms_every=20, steps=1, optimizer="sgd")
    run = train(config, tmp_path / "run", device="cpu")
    before, after = run.load(0), run.load(1)
    assert [*run.norms["step"]] == [0]
    rate = config.training.learning_rate  # by which times the gradient SGD moves the weights
    for group in SINGLE:
        old, new = parameters_of(before, [group]), parameters_of(after, [group])
        weights = math.sqrt(sum(float(each.detach().square().sum()) for each in old.values()))
        moved = math.sqrt(sum(float((new[name] - old[name]).detach().square().sum()) for name in old))
        assert run.norms[f"weight_norm/{group}"][0] == pytest.approx(weights, rel=1e-5)
        assert run.norms[f"grad_norm/{group}"][0] == pytest.approx(moved / rate, rel=1e-2)


def test_norms_change_no_number(tmp_path: Path) -> None:
    with_norms = train(SMOKE, tmp_path / "with", device="cpu")
    without = train(preset("smoke"), tmp_path / "without", device="cpu")
    np.testing.assert_array_equal(with_norms.metrics["loss"], without.metrics["loss"])
    assert [*with_norms.norms["step"]] == [0, 20, 40]
    assert [*without.norms] == ["step"]
    assert not len(without.norms["step"])
