"""The exported folder, read as a stranger reads it: with transformers alone, by the code of its own model card."""

import errno
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from abruptlab.cli import main
from abruptlab.config import ModelConfig, RunConfig, TrainingConfig
from abruptlab.errors import ConfigError, RunError
from abruptlab.model.generate import generate
from abruptlab.model.huggingface import load_huggingface
from abruptlab.run.export import export
from abruptlab.run.imported import import_run
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from abruptlab.task.window_sum import WindowSum
from abruptlab.training.loop import train
from abruptlab.training.state import initial_model
from tests.synthetic import CONFIG, make_metrics, make_run


def test_a_run_with_other_attention_is_no_stock_model(tmp_path: Path) -> None:
    training = replace(CONFIG.training, steps=4, useful_attention=10.0, useful_from=2)
    run = train(replace(CONFIG, training=training), tmp_path / "run", device="cpu")
    with pytest.raises(ConfigError, match="expected a stock model's attention; its useful attention was multiplied"):
        export(run, tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()
    with pytest.warns(UserWarning, match="useful attention was times 10 in training; here it is not"):
        run.load(4)
    run.load(2)  # before it was


def run_card(folder: Path) -> dict:
    """What the Python of the card leaves behind, run beside the folder."""
    text = (folder / "README.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    left: dict = {}
    exec(code, left)
    return left


def test_the_card_of_an_encoder_runs_and_says_what_the_model_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run = pretrained_run("pocket")
    main(["export", "pocket", "--out", "theirs", "--step", "onset"])
    left = run_card(Path("theirs"))
    with torch.no_grad():
        torch.testing.assert_close(left["values"], run.load("onset")(left["tokens"]), rtol=1.3e-6, atol=4e-5)
    about = json.loads(Path("theirs/config.json").read_text())["abruptlab"]
    assert about["step"] == run.milestones["onset"]
    assert about["run"]["task"]["sizes"] == [[4, 4]]
    card = Path("theirs/README.md").read_text()
    at = run.metrics["step"] < about["step"]
    assert f"| loss_masked | {run.metrics['loss_masked'][at][-100:].mean():.4g} |" in card
    assert f"at step {run.drop.onset:,}" in card  # type: ignore[union-attr]


def test_who_may_read_one_file_may_read_all(tmp_path: Path) -> None:
    export(pretrained_run("pocket"), tmp_path / "theirs", "onset")
    assert len({path.stat().st_mode & 0o777 for path in (tmp_path / "theirs").iterdir()}) == 1


def test_the_card_of_a_run_without_losses_denies_no_drop(tmp_path: Path) -> None:
    ours = pretrained_run("pocket")
    export(ours, tmp_path / "epoch-8000", "final")
    export(import_run([tmp_path / "epoch-8000"], tmp_path / "run", ours.config.matrices), tmp_path / "theirs")
    card = (tmp_path / "theirs" / "README.md").read_text()
    assert "Its losses are not known." in card
    assert "dropped" not in card


def test_an_export_takes_no_other_s_place_unless_told_so(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    main(["export", "pocket", "--step", "onset", "--out", str(folder)])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(SystemExit, match="theirs has files already: say --overwrite"):
        main(["export", "pocket", "--out", str(folder)])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    main(["export", "pocket", "--out", str(folder), "--overwrite"])
    assert json.loads((folder / "config.json").read_text())["abruptlab"]["step"] == pretrained_run("pocket").resolve(
        "final"
    )


def test_the_card_of_a_decoder_runs_and_says_what_the_model_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    model = ModelConfig(kind="decoder", layers=1, heads=2, width=16, mlp_width=32, mask_embedding="trained")
    names = ("loss", "loss_prompt", "loss_observed", "loss_masked", "accuracy_observed", "accuracy_masked")
    metrics = make_metrics(steps=9)
    metrics = {name: metrics.get(name, metrics["loss"]) for name in ("step", *names, "learning_rate", "elapsed_s")}
    folder = tmp_path / "run"
    folder.mkdir()
    run = make_run(folder, metrics, [9], replace(CONFIG, model=model))
    export(run, "gpt")
    left = run_card(Path("gpt"))
    assert torch.equal(left["answer"], generate(run.load_decoder(9), left["prompt"]))
    assert "The loss has not dropped." in Path("gpt/README.md").read_text()


def test_the_card_of_another_task_runs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    model = ModelConfig(kind="decoder", layers=1, heads=2, width=16, mlp_width=32, mask_embedding="trained")
    config = RunConfig("sums", task=WindowSum(length=4), model=model, training=TrainingConfig(steps=2, batch=4))
    run = train(config, "run", device="cpu")
    export(run, "sums")
    left = run_card(Path("sums"))
    assert torch.equal(left["answer"], generate(run.load(2), left["prompt"]))  # type: ignore[arg-type]
    assert left["answer"].shape == (1, 4)


def test_an_export_is_written_over_and_nothing_else(tmp_path: Path):
    run = pretrained_run("pocket")
    for step in ("start", "final"):
        export(run, tmp_path / "theirs", step)
    torch.testing.assert_close(
        load_huggingface(tmp_path / "theirs").state_dict(), run.load("final").state_dict(), rtol=0, atol=0
    )
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(RunError, match="is not empty and holds no exported model; choose another folder"):
        export(run, tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Run, Path, dict[str, bytes]]:
    """A run with two checkpoints, and the first of them exported."""
    (tmp_path / "run").mkdir()
    models = {step: initial_model(replace(CONFIG, seed=step)) for step in (0, 9)}
    run, folder = make_run(tmp_path / "run", make_metrics(steps=9), models), tmp_path / "theirs"
    export(run, folder, 0)
    return run, folder, {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("stopped_at", ["config.json", "model.safetensors", "README.md"])
def test_a_kill_leaves_no_step_beside_the_weights_of_another(
    exported: tuple[Run, Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, stopped_at: str
):
    run, folder, before = exported
    real = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target == folder / stopped_at:
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            export(run, folder, 9)
    assert not (folder / "config.json").exists()
    export(run, folder, 9)  # what is left is still an export, and made whole
    assert {path.name for path in folder.iterdir()} == before.keys()
    assert {path.name for path in folder.parent.iterdir()} == {"run", "theirs"}
    torch.testing.assert_close(load_huggingface(folder).state_dict(), run.load(9).state_dict(), rtol=0, atol=0)


def test_a_full_disk_leaves_the_export_of_before(
    exported: tuple[Run, Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run, folder, before = exported
    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", full)
    with pytest.raises(RunError, match="cannot write"):
        export(run, folder, 9)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {path.name for path in folder.parent.iterdir()} == {"run", "theirs"}


def test_a_run_with_damaged_losses_is_not_half_exported(exported: tuple[Run, Path, dict[str, bytes]]):
    run, folder, before = exported
    (run.folder / "metrics.jsonl").write_text("nonsense\n")
    with pytest.raises(RunError, match="is damaged"):
        export(Run(run.folder), folder, 9)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
