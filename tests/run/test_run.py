"""Reading run folders: the shipped one, and ones with something wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import abruptlab
from abruptlab.errors import CheckpointError, ConfigError, RunError
from abruptlab.paper import CLAIMS, Findings, judge
from abruptlab.paper.verdict import read_verdicts
from abruptlab.run.checkpoints import checkpoint_folder
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from abruptlab.task.matrices import sample

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def shipped() -> Run:
    return abruptlab.pretrained_run("laptop")


@pytest.fixture
def copied(shipped: Run, tmp_path: Path) -> Run:
    return Run(shutil.copytree(shipped.folder, tmp_path / "run"))


def test_every_public_name_is_there() -> None:
    names = dir(abruptlab)
    assert {"Run", "train", "measure_attention", "draw_attention", "MASK"} < set(names)
    assert all(getattr(abruptlab, name) is not None for name in [*names, "__version__"])
    with pytest.raises(AttributeError, match="magic"):
        abruptlab.magic  # pyright: ignore  # noqa: B018


def test_the_shipped_run_is_the_preset_and_has_the_drop(shipped: Run) -> None:
    assert shipped.config == abruptlab.preset("laptop")
    assert shipped.drop is not None
    assert list(shipped.milestones) == ["start", "before-drop", "onset", "after-drop", "final"]
    assert len(shipped.steps) == 8
    assert len(shipped.metrics["step"]) == shipped.config.training.steps


@pytest.mark.parametrize("moment", ["start", "before-drop", "onset", "after-drop"])
def test_a_shipped_model_has_the_loss_that_the_metrics_say(shipped: Run, moment: str) -> None:
    """Fresh data, so equal up to the noise of a batch; 1,024 matrices against the mean of the steps around."""
    step = shipped.milestones[moment]
    batch = sample(shipped.config.matrices, 1024, seed=12345)
    with torch.no_grad():
        squared = (abruptlab.load_pretrained("laptop", moment)(batch.tokens) - batch.values).square()
    near = slice(max(0, step - 20), step + 21) if step else slice(0, 1)
    expected = shipped.metrics["loss_masked"][near].mean()
    assert squared[~batch.observed].mean().item() == pytest.approx(expected, rel=0.15)


def test_the_shipped_base_has_the_numbers_of_the_results() -> None:
    """Its claims about the curve and the attention, beside those of seed 0 in results/, which the documents quote."""
    quoted = {verdict.id: verdict.numbers[verdict.seeds.index(0)] for verdict in read_verdicts(RESULTS / "base")}
    attention = ("row-heads", "column-heads")
    claims = {name: claim for name, claim in CLAIMS.items() if claim.kind == "encoder" and not claim.sweep}
    claims = {name: claim for name, claim in claims.items() if claim.figures in (("1",), ("2",)) or name in attention}
    found = {verdict.id: verdict.number for verdict in judge(Findings(pretrained_run("base")), claims)}
    assert len(found) > 8
    assert {name: float(number) for name, number in found.items()} == pytest.approx(
        {name: quoted[name] for name in found}, rel=0.01
    )


def test_the_final_model_completes(shipped: Run) -> None:
    assert shipped.drop is not None
    batch = sample(shipped.config.matrices, 1024, seed=12345)
    with torch.no_grad():
        squared = (abruptlab.load_pretrained("laptop")(batch.tokens) - batch.values).square()
    assert squared[~batch.observed].mean().item() < shipped.drop.plateau / 5


def test_names_and_steps_that_were_not_shipped() -> None:
    with pytest.raises(RunError, match="no shipped run 'desktop'; there are: base, laptop, pocket"):
        abruptlab.load_pretrained("desktop")
    with pytest.raises(CheckpointError, match=r"no checkpoint 7; there are: 0, \d+"):
        abruptlab.load_pretrained("laptop", 7)
    with pytest.raises(CheckpointError, match=r"no checkpoint 'before'; there are: start \(0\), before-drop"):
        abruptlab.load_pretrained("laptop", "before")


def test_a_milestone_that_was_perhaps_meant(shipped: Run) -> None:
    with pytest.raises(CheckpointError, match="did you mean after-drop"):
        shipped.resolve("after_drop")


def test_an_empty_folder_is_no_checkpoint(copied: Run) -> None:
    steps = copied.steps
    checkpoint_folder(copied.checkpoints, 10 * steps[-1]).mkdir()
    assert Run(copied.folder).steps == steps


def test_metrics_that_are_gone_are_missed(copied: Run) -> None:
    (copied.folder / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match=r"metrics\.jsonl is missing: expected the rows of the 10000 steps"):
        copied.metrics  # noqa: B018


def test_a_step_in_digits_and_a_single_one_of_several(shipped: Run) -> None:
    last = shipped.steps[-1]
    assert shipped.resolve(str(last)) == shipped.resolve(last) == last
    assert shipped.resolve_all(["final", str(last), 0]) == [0, last]
    assert shipped.resolve_all("final") == shipped.resolve_all(last) == [last]
    with pytest.raises(CheckpointError, match=r"no checkpoint 7; there are: 0, \d+"):
        shipped.resolve("7")


def test_an_altered_checkpoint_is_named(copied: Run) -> None:
    step = copied.milestones["final"]
    path = checkpoint_folder(copied.checkpoints, step) / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged: expected sha256"):
        copied.load(step)


def test_half_a_line_at_the_end_is_ignored(copied: Run, shipped: Run) -> None:
    shutil.rmtree(checkpoint_folder(copied.checkpoints, copied.steps[-1]))
    metrics = copied.folder / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-10])
    np.testing.assert_array_equal(Run(copied.folder).metrics["loss"], shipped.metrics["loss"][:-1])


@pytest.mark.parametrize(
    ("change", "said"),
    [  # of line 6, but for the last ones
        (lambda lines: [*lines[:5], lines[5][:9] + b"\x80" + lines[5][10:], *lines[6:]], "got what is no JSON"),
        (lambda lines: [*lines[:5], lines[5].replace(b'"loss"', b'"lass"'), *lines[6:]], "6: .* got one without loss"),
        (lambda lines: [*lines[:5], lines[5].replace(b'"loss": ', b'"loss": "x" "'), *lines[6:]], "line 6: .* no JSON"),
        (lambda lines: [*lines[:5], lines[5].replace(b'": 0.', b'": "0.", "x": 0.', 1), *lines[6:]], "got loss '0.'"),
        (lambda lines: [*lines[:5], b"[5]\n", *lines[6:]], "line 6: .* got what is no row"),
        (lambda lines: [*lines[:6], lines[5], *lines[6:]], "line 7: expected the row of step 6, got that of step 5"),
        (lambda lines: [*lines[:25], *lines[40:]], "line 26: expected the row of step 25, got that of step 40"),
        (lambda lines: lines[:-1], "ends with 9999 rows: expected those of the 10000 steps before the last checkpoint"),
        (lambda lines: [], "ends with 0 rows"),
    ],
)  # fmt: skip
def test_damaged_metrics_are_said_and_where(
    copied: Run, change: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    path = copied.folder / "metrics.jsonl"
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(RunError, match=said):
        copied.metrics  # noqa: B018


def test_a_checkpoint_of_another_size_is_one_line(copied: Run) -> None:
    config = copied.folder / "config.toml"
    config.write_text(config.read_text().replace("width = 64", "width = 32"))
    with pytest.raises(CheckpointError, match=r"step_\d{6} does not fit the run's configuration: size mismatch for"):
        Run(copied.folder).load("final")


@pytest.mark.parametrize("files", ["[]", '{"model.safetensors": 3}', "null"])
def test_meta_data_of_another_shape_is_damage(copied: Run, files: str) -> None:
    step = copied.steps[-1]
    meta = checkpoint_folder(copied.checkpoints, step) / "meta.json"
    meta.write_text(json.dumps({"step": step, "made_with": {}, "files": json.loads(files)}))
    with pytest.raises(CheckpointError, match=r"meta\.json is damaged: files"):
        Run(copied.folder).load(step)


def test_what_only_looks_like_a_checkpoint_is_none(copied: Run) -> None:
    steps = copied.steps
    (copied.checkpoints / "step_000060.bak").mkdir()
    (copied.checkpoints / "step_0000070").mkdir()
    (copied.checkpoints / "step_99").mkdir()
    (copied.checkpoints / "step_000070").touch()
    assert copied.steps == steps


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: expected a config\.toml in it"):
        Run(tmp_path)
    (tmp_path / "config.toml").write_text("steps = ")
    with pytest.raises(ConfigError, match=r"config\.toml is not TOML"):
        Run(tmp_path)


def test_a_run_without_steps_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(abruptlab.preset("smoke").to_toml())
    run = Run(tmp_path)
    assert (run.steps, run.drop, run.finished, run.milestones) == ([], None, False, {})
    with pytest.raises(CheckpointError, match="there are: none"):
        run.load(10)
