"""Other people's checkpoints as a run: made of our own, with what theirs have otherwise."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from abruptlab.cli import main
from abruptlab.cli.printing import print_state
from abruptlab.errors import CheckpointError, ConfigError, RunError
from abruptlab.model.encoder import Encoder
from abruptlab.model.huggingface import save_pretrained
from abruptlab.paper import Findings, judge
from abruptlab.paper.catalogue import CLAIMS
from abruptlab.paper.judge import require_alike
from abruptlab.presets import preset
from abruptlab.run.imported import import_run, task_of
from abruptlab.run.live import GrowingRun
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from abruptlab.training.loop import train
from tests.model.test_huggingface import authors_checkpoint

TASK = pretrained_run("pocket").config.matrices


@pytest.fixture(scope="module")
def ours() -> Run:
    return pretrained_run("pocket")


def with_more_positions(model: Encoder, positions: int = 512) -> Encoder:
    """The same model with a table as long as theirs, of which all but the first rows were never trained."""
    larger = Encoder(model.config, model.token_embedding.num_embeddings, positions)
    weights, trained = model.state_dict(), model.position_embedding.weight
    table = torch.randn(positions, model.config.width)
    table[: len(trained)] = trained.detach()
    larger.load_state_dict(weights | {"position_embedding.weight": table})
    return larger


def written(folder: Path, run: Run, *steps: int) -> list[Path]:
    paths = []
    for step in steps:
        checkpoint = authors_checkpoint(with_more_positions(run.load_encoder(step))) | {"epoch": step - 1}
        paths.append(folder / f"checkpoint_{step}.tar")
        torch.save(checkpoint, paths[-1])
    return paths


def test_the_authors_checkpoints_are_a_run(ours: Run, tmp_path: Path) -> None:
    files = written(tmp_path, ours, 8000, 2000, 512)
    run = import_run(files, tmp_path / "run", TASK, milestones={"before-drop": 2000})
    assert run.steps == [512, 2000, 8000]
    assert run.config.model.heads == 8  # tried out: the file does not say
    assert run.config.task == TASK
    assert run.milestones == {"start": 512, "before-drop": 2000, "final": 8000}
    batch = torch.randint(1, 200, (3, 16))
    for step in run.steps:
        torch.testing.assert_close(run.load_encoder(step)(batch), ours.load_encoder(step)(batch))
    assert run.drop is None
    names = ("row-heads", "copies-values-middle", "ablation-restores", "copying")
    verdicts = {v.id: v for v in judge(Findings(run, matrices=32), {name: CLAIMS[name] for name in names})}
    assert verdicts["row-heads"].outcome == "holds"
    assert all(verdicts[name].judged for name in names[:3])
    assert verdicts["copying"].notes == ("the run has no losses of its training",)


def test_one_checkpoint_may_be_that_of_before_and_of_after(ours: Run, tmp_path: Path) -> None:
    run = import_run(written(tmp_path, ours, 8000), tmp_path / "run", TASK, milestones={"before-drop": 8000})
    claims = {name: claim for name, claim in CLAIMS.items() if name.startswith(("permutation", "switching"))}
    verdicts = {verdict.id: verdict for verdict in judge(Findings(run, matrices=16), claims)}
    assert len(verdicts) > 5
    assert all(verdicts[name].judged for name in ("permutation-completion", "permutation-rows-and-columns"))


def test_with_their_losses_the_drop_is_found(ours: Run, tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss", "loss_observed", "loss_masked"])
        names = ("step", "loss", "loss_observed", "loss_masked")
        writer.writerows(zip(*(ours.metrics[name] for name in names), strict=True))
    run = import_run(written(tmp_path, ours, 2000, 8000), tmp_path / "run", TASK, losses_file=path)
    assert run.drop == ours.drop
    [verdict] = judge(Findings(run), {"copying": CLAIMS["copying"]})
    assert verdict.outcome == "holds"
    without = import_run(written(tmp_path, ours, 2000, 8000), tmp_path / "without", TASK)
    longer = replace(run.config, training=replace(run.config.training, steps=8010))
    for imported in (run, without):
        with pytest.raises(RunError, match="is imported, without the state of its optimiser: train on from it with --"):
            train(longer, imported.folder, resume=True, device="cpu")
    assert Run(run.folder).config == run.config
    (run.folder / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match="has been changed: expected the rows that were imported"):
        _ = Run(run.folder).metrics


def test_losses_of_no_number_are_null_and_a_byte_order_mark_is_no_name(ours: Run, tmp_path: Path) -> None:
    save_pretrained(ours.load_encoder(0), tmp_path / "bert-2")
    losses = tmp_path / "losses.csv"
    losses.write_text("step,loss,loss_observed,loss_masked\n0,1,1,nan\n1,1,inf,1\n", encoding="utf-8-sig")
    run = import_run([tmp_path / "bert-2"], tmp_path / "run", TASK, losses_file=losses)
    table = (run.folder / "metrics.jsonl").read_text()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in table.splitlines()]
    assert [(row["loss"], row["loss_observed"], row["loss_masked"]) for row in rows] == [(1, 1, None), (1, None, 1)]


def test_folders_of_hugging_face_berts_say_their_heads(ours: Run, tmp_path: Path) -> None:
    for step in (2000, 8000):
        save_pretrained(ours.load_encoder(step), tmp_path / f"bert-{step}")
    run = import_run([tmp_path / "bert-8000", tmp_path / "bert-2000"], tmp_path / "run", TASK)
    assert (run.steps, run.config.model.heads) == ([2000, 8000], 8)


def test_without_losses_there_is_nothing_to_watch_and_no_drop_is_denied(
    ours: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_pretrained(ours.load_encoder(8000), tmp_path / "bert-8000")
    run = import_run([tmp_path / "bert-8000"], tmp_path / "run", TASK)
    with pytest.raises(RunError, match="is an imported run without losses: there is nothing to watch"):
        GrowingRun(run.folder).look()
    print_state(run)
    shown = capsys.readouterr().out
    assert f"run         {run.folder}: its losses are not known\ndrop        unknown\n" in shown


def test_imported_runs_may_be_judged_together(ours: Run, tmp_path: Path) -> None:
    """Nobody knows their seeds: each is said to be 0."""
    files = written(tmp_path, ours, 2000, 8000)
    runs = [import_run(files, tmp_path / name, TASK) for name in ("one", "another")]
    require_alike([Findings(run) for run in runs])


def test_exported_folders_say_their_step_and_their_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for step, folder in (("before-drop", "one"), ("final", "another")):
        main(["export", "laptop", "--step", step, "--out", folder])
    main(["import", "another", "one", "--out", "run", "--before-drop", "2000"])
    run, laptop = Run("run"), pretrained_run("laptop")
    assert (run.steps, run.config.task) == ([2000, laptop.resolve("final")], laptop.config.task)
    main(["import", "one", "--rank", "2", "--steps", "7", "--out", "other"])
    assert (Run("other").steps, Run("other").config.matrices.rank) == ([7], 2)


@pytest.mark.parametrize("run", ["laptop", [1], 3, {"task": 3}])
def test_a_folder_that_says_no_configuration_is_one_line(tmp_path: Path, run: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"abruptlab": {"run": run}}))
    with pytest.raises(ConfigError, match="expected"):
        task_of(tmp_path)


def test_every_flag_of_import_is_heard(ours: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list = []

    def note(*given: object) -> Run:
        heard.append(given)
        return ours

    monkeypatch.setattr("abruptlab.run.imported.import_run", note)
    moments = ["--before-drop", "2", "--onset", "5", "--after-drop", "8"]
    words = ["--preset", "laptop", "--size", "4", "4", "--rank", "3", "--heads", "4", "--losses", "losses.csv"]
    main(["import", "one", "two", "--out", "run", "--steps", "2", "8", *words, *moments])
    task = replace(preset("laptop").matrices, sizes=((4, 4),), rank=3)
    files, moments_given = (Path("one"), Path("two")), {"before-drop": 2, "onset": 5, "after-drop": 8}
    assert heard == [(files, Path("run"), task, (2, 8), 4, Path("losses.csv"), moments_given)]


def test_what_cannot_be_told_is_asked_for_and_nothing_is_left(ours: Run, tmp_path: Path) -> None:
    plateau, final = written(tmp_path, ours, 2000, 8000)
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match="does not say how many heads it has, and its errors do not tell"):
        import_run([plateau], out, TASK)
    with pytest.raises(ConfigError, match="before-drop: expected one of the steps 8000, got 3"):
        import_run([final], out, TASK, milestones={"before-drop": 3})
    with pytest.raises(CheckpointError, match="width"):
        import_run([final], out, TASK, heads=7)
    with pytest.raises(ConfigError, match="heads: expected at least 1, got 0"):
        import_run([final], out, TASK, heads=0)
    with pytest.raises(ConfigError, match="heads: expected none, as folders say how many they have, got 4"):
        import_run([tmp_path], out, TASK, heads=4)
    with pytest.raises(SystemExit, match=r"rank: expected 1 to 4 .*, got 0"):
        main(["import", str(final), "--preset", "pocket", "--rank", "0", "--out", str(out)])
    with pytest.raises(ConfigError, match="steps: expected one for each of the 2 files, got 1"):
        import_run([plateau, final], out, TASK, steps=[1])
    bad = tmp_path / "losses.csv"
    bad.write_text("step,loss\n1,2\n")
    with pytest.raises(RunError, match="found no loss_observed, loss_masked"):
        import_run([final], out, TASK, losses_file=bad)
    bad.write_text("step,loss,loss_observed,loss_masked\n0,1,1,1\n10,1,1,1\n")
    with pytest.raises(RunError, match="expected every step from 0 on, got step 10 where 1 should be"):
        import_run([final], out, TASK, losses_file=bad)
    bad.write_text("loss,loss_observed,loss_masked,step\n1,1,1\n")
    with pytest.raises(RunError, match="expected numbers"):
        import_run([final], out, TASK, losses_file=bad)
    bad.write_text("step,loss,loss_observed,loss_masked\n0,1,1,1\n1,1,1,1\n")
    with pytest.raises(
        ConfigError, match="losses: expected those of the 3 steps until the last checkpoint, at least, got"
    ):
        import_run([final], out, TASK, steps=[3], losses_file=bad)
    with pytest.raises(ConfigError, match="steps: expected 0 or more, got -5, 3"):
        import_run([plateau, final], out, TASK, steps=[-5, 3])
    nameless = final.rename(tmp_path / "model.tar")
    torch.save({"model": authors_checkpoint(ours.load_encoder(8000))["model"]}, nameless)
    with pytest.raises(ConfigError, match=r"model\.tar does not say its step: expected --steps"):
        import_run([nameless], out, TASK)
    assert not out.exists()
    assert import_run([nameless], out, TASK, steps=[8000]).steps == [8000]
    with pytest.raises(RunError, match="is there already"):
        import_run([nameless], out, TASK, steps=[8000])
