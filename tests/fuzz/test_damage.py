"""Damaged run folders: what is wrong is said or does no harm, and no intact checkpoint and no row is ever lost."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abruptlab.config import RunConfig
from abruptlab.errors import AbruptlabError
from abruptlab.presets import preset
from abruptlab.run.checkpoints import newest_meta
from abruptlab.run.run import Run
from abruptlab.training.loop import train
from tests.fuzz.damage import all_weights, damage, rows, weights
from tests.fuzz.outcome import Outcome, Tally, counted, run
from tests.training.test_loop import interrupt_at

COUNT = counted("FUZZ_DAMAGE", 12)
CONFIG = replace(preset("smoke"), training=replace(preset("smoke").training, steps=24, checkpoint_every=8))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(CONFIG, tmp_path_factory.mktemp("whole") / "run", device="cpu")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, whole: Run) -> Path:
    """A run killed after its checkpoint of step 16, with rows and half of one after it."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("abruptlab.training.loop.REPORT_EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, folder, device="cpu", report=interrupt_at(16))
    lines = (whole.folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b"".join(lines[16:19]) + lines[19][:30])
    return folder


def looked_at(folder: Path, out: Path, whole: Run) -> list[str]:
    """What is wrong with `show`, `figure 2` and `claims` of a folder."""
    wrong = []
    outcomes: dict[str, Outcome] = {
        "show": run("show", folder),
        "figure 2": run("figure", "2", folder, "--out", out),
        "claims": run("claims", folder, "--out", out),
    }
    for name, outcome in outcomes.items():
        if not outcome.is_clear:
            wrong.append(f"{name}: {outcome.err[-200:]!r}")
        elif outcome.status == 0:
            wrong += [f"{name}: {what}" for what in differences(folder, whole)]
    newest = newest_meta(folder / "checkpoints")
    if outcomes["figure 2"].status == 0 and newest is not None:
        with np.load(out / "figures" / "figure_2.npz") as data:
            for name in ("loss", "loss_observed", "loss_masked"):
                if not np.array_equal(data[name][: newest.step], whole.metrics[name][: newest.step]):
                    wrong.append(f"figure 2 draws another {name}")
    return wrong


def differences(folder: Path, whole: Run) -> list[str]:
    """Where what is read of a folder is not what the run was, up to its newest checkpoint: later rows are signed by
    none, and dropped by a resume."""
    found, newest = Run(folder), newest_meta(folder / "checkpoints")
    if newest is None:
        return []
    wrong = [] if found.config.decisive == whole.config.decisive else ["another configuration"]
    for name, values in whole.metrics.items():
        if name != "elapsed_s" and not np.array_equal(found.metrics[name][: newest.step], values[: newest.step]):
            wrong.append(f"another {name}")
    return wrong


def lost(before: Path, after: Path, whole: Run) -> list[str]:
    """What was right in the folder before, and is not in it any more."""
    right, there, kept = weights(whole.folder), weights(before), all_weights(after)
    wrong = [f"weights of step {step}" for step, digest in right.items() if there.get(step) == digest not in kept]
    good = rows(before) & rows(whole.folder)
    return [*wrong, *(f"row of step {step}" for step, _ in sorted(good - rows(after)))]


@pytest.mark.parametrize("kind", ["finished", "killed"])
def test_damaged_folders(kind: str, whole: Run, killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abruptlab.figures.save.render", lambda figure, ending: b"drawn")  # which takes seconds
    source = whole.folder if kind == "finished" else killed
    tally, said, resumed = Tally(f"damaged folders, {kind}"), 0, 0
    for seed in range(COUNT):
        folder, before, out = tmp_path / "run", tmp_path / "before", tmp_path / "out"
        for path in (folder, before, out):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(source, folder)
        what = damage(folder, seed)
        shutil.copytree(folder, before)
        wrong = looked_at(folder, out, whole)
        wrong += [f"looking lost the {each}" for each in lost(before, folder, whole)]
        outcome = run("train", "--config", _config(folder, tmp_path), "--out", folder, "--resume", "--device", "cpu")
        wrong += [f"train lost the {each}" for each in lost(before, folder, whole)]
        if not outcome.is_clear:
            wrong.append(f"train: {outcome.err[-300:]!r}")
        if outcome.status == 0:
            resumed += 1
            try:
                wrong += [f"train: {each}" for each in differences(folder, whole)]
                final = (weights(folder).get(24), len(Run(folder).metrics["step"]))
                if final != (weights(whole.folder)[24], 24):
                    wrong.append("train ends with other weights")
            except AbruptlabError as error:
                wrong.append(f"train exits with 0: {error}")
        else:
            said += 1
        tally.add(f"{seed} {kind}: {what}", wrong)
    print(f"{kind}: {said} refused, {resumed} finished")
    tally.judge()
    assert min(said, resumed) > COUNT // 20


def _config(folder: Path, beside: Path) -> Path:
    """The configuration to resume with: the folder's own, as the command that is printed says; if it cannot be read,
    the one that the person still has."""
    try:
        RunConfig.read(folder / "config.toml")
    except AbruptlabError:
        (beside / "mine.toml").write_text(CONFIG.to_toml())
        return beside / "mine.toml"
    return folder / "config.toml"
