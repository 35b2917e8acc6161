"""The loop: what a row of metrics means, and that nothing that happens to a run changes its numbers."""

import itertools
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from abruptlab.config import ConfigError, RunConfig, StartConfig
from abruptlab.errors import DivergedError, RunError, VocabularyError
from abruptlab.model.groups import parameters_of
from abruptlab.presets import preset
from abruptlab.run.checkpoints import checkpoint_folder, load_checkpoint
from abruptlab.run.run import Run
from abruptlab.system.devices import choose_device
from abruptlab.system.signals import finish_on_interrupt
from abruptlab.task.matrices import sample
from abruptlab.task.sequences import sequences
from abruptlab.task.vocabulary import Vocabulary
from abruptlab.training.loop import Progress, _Reporter, train
from abruptlab.training.optimizers import build_optimizers
from abruptlab.training.recorder import Recorder
from abruptlab.training.state import initial_model, initial_state
from abruptlab.training.trackers import Trackers
from abruptlab.training.update import Update, part_size

SMOKE = preset("smoke")


def with_training(config: RunConfig, **changes: object) -> RunConfig:
    return replace(config, training=replace(config.training, **changes))


def with_task(config: RunConfig, **changes: object) -> RunConfig:
    return replace(config, task=replace(config.matrices, **changes))


def numbers(run: Run) -> dict[str, np.ndarray]:
    return {name: values for name, values in run.metrics.items() if name != "elapsed_s"}


def assert_same_run(one: Run, other: Run) -> None:
    for name, values in numbers(one).items():
        np.testing.assert_array_equal(values, other.metrics[name], err_msg=name)
    last = one.config.training.steps
    weights = load_checkpoint(one.checkpoints, last)
    for name, value in load_checkpoint(other.checkpoints, last).items():
        assert torch.equal(weights[name], value), name


def interrupt_at(step: int):
    """A report that sends Ctrl-C once that step is reached."""

    def report(progress: Progress) -> None:
        if progress.step >= step:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def stopped_run(folder: Path, step: int) -> Path:
    """The folder, with a run that was stopped by Ctrl-C after so many steps."""
    with pytest.MonkeyPatch.context() as patch:  # for fixtures that live longer than `report_every_step`
        patch.setattr("abruptlab.training.loop.REPORT_EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            train(SMOKE, folder, device="cpu", report=interrupt_at(step))
    return folder


@pytest.fixture(autouse=True)
def report_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abruptlab.training.loop.REPORT_EVERY_S", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(SMOKE, tmp_path_factory.mktemp("runs") / "whole", device="cpu")


def test_a_run_leaves_every_step_and_the_scheduled_checkpoints(whole: Run) -> None:
    assert whole.finished
    assert whole.metrics["step"].tolist() == list(range(60))
    assert {0, 1, 2, 4, 8, 16, 20, 32, 40, 60} <= set(whole.steps)
    assert all(np.isfinite(values).all() for values in whole.metrics.values())
    assert (np.diff(whole.metrics["elapsed_s"]) >= 0).all()
    assert whole.metrics["loss"][-1] < whole.metrics["loss"][0]


@pytest.mark.parametrize("step", [0, 16, 40])
def test_the_row_of_a_step_is_its_checkpoint_on_its_batch(whole: Run, step: int) -> None:
    batch = sample(SMOKE.matrices, SMOKE.training.batch, SMOKE.seed, step)
    with torch.no_grad():
        predictions = whole.load(step)(batch.tokens)
    squared = (predictions - batch.values) ** 2
    row = {name: values[step] for name, values in whole.metrics.items()}
    assert row["loss"] == pytest.approx(squared.mean().item(), rel=1e-5)
    assert row["loss_observed"] == pytest.approx(squared[batch.observed].mean().item(), rel=1e-5)
    assert row["loss_masked"] == pytest.approx(squared[~batch.observed].mean().item(), rel=1e-5)
    assert row["mean_abs_masked"] == pytest.approx(predictions[~batch.observed].abs().mean().item(), rel=1e-5)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(whole: Run, tmp_path: Path) -> None:
    assert_same_run(whole, train(SMOKE, tmp_path / "again", device="cpu"))
    other = train(replace(SMOKE, seed=1), tmp_path / "other", device="cpu")
    assert (other.metrics["loss"] != whole.metrics["loss"]).all()


@pytest.mark.parametrize("step", [5, 16, 33])
def test_ctrl_c_then_resume_changes_nothing(whole: Run, tmp_path: Path, step: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(SMOKE, tmp_path / "run", device="cpu", report=interrupt_at(step))
    stopped = Run(tmp_path / "run")
    assert not stopped.finished
    assert stopped.steps[-1] == len(stopped.metrics["step"]) == step
    assert_same_run(whole, train(SMOKE, tmp_path / "run", resume=True, device="cpu"))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine", "warmup_steps": 7},
        {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-2},
        {"optimizer": "muon"},
        {"micro_batch": 4},
        {"precision": "bf16"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_resume_is_exact_for_every_kind_of_training(tmp_path: Path, changes: dict) -> None:
    config = with_training(SMOKE, **changes, steps=24)
    straight = train(config, tmp_path / "straight", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "broken", device="cpu", report=interrupt_at(13))
    assert_same_run(straight, train(config, tmp_path / "broken", resume=True, device="cpu"))
    assert straight.metrics["loss"][-4:].mean() < straight.metrics["loss"][:4].mean()


def test_metrics_after_the_checkpoint_and_half_a_line_are_forgotten(whole: Run, tmp_path: Path) -> None:
    """What kill -9 leaves: rows beyond the newest checkpoint, and half of one."""
    with pytest.raises(KeyboardInterrupt):
        train(SMOKE, tmp_path / "run", device="cpu", report=interrupt_at(20))
    metrics = tmp_path / "run" / "metrics.jsonl"
    later = (whole.folder / "metrics.jsonl").read_text().splitlines(keepends=True)[20:25]
    metrics.write_text(metrics.read_text() + "".join(later).replace('"loss": 0', '"loss": 9') + '{"step": 25, "lo')
    assert_same_run(whole, train(SMOKE, tmp_path / "run", resume=True, device="cpu"))


@pytest.fixture(scope="module")
def stopped_at_33(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped_run(tmp_path_factory.mktemp("runs") / "stopped", 33)


@pytest.mark.parametrize(
    ("damage", "part"),
    [*itertools.product(["truncate", "alter", "delete"], ["model", "optimizer"]), ("truncate", "meta")],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    whole: Run, stopped_at_33: Path, tmp_path: Path, damage: str, part: str
) -> None:
    shutil.copytree(stopped_at_33, tmp_path / "run")
    name = "meta.json" if part == "meta" else f"{part}.safetensors"
    victim = checkpoint_folder(tmp_path / "run" / "checkpoints", 33) / name
    if damage == "truncate":
        victim.write_bytes(victim.read_bytes()[:-20])
    elif damage == "alter":
        data = bytearray(victim.read_bytes())
        data[-5] ^= 1
        victim.write_bytes(data)
    else:
        victim.unlink()
    warnings: list[str] = []
    steps: list[int] = []
    run = train(
        SMOKE,
        tmp_path / "run",
        resume=True,
        device="cpu",
        warn=warnings.append,
        report=lambda progress: steps.append(progress.step),
    )
    assert len(warnings) == 1
    assert str(victim) in warnings[0]
    assert steps[0] == 33  # from 32, the checkpoint before
    assert_same_run(whole, run)


def test_another_run_in_the_folder_is_never_touched(whole: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="already holds this run"):
        train(SMOKE, whole.folder, device="cpu")
    with pytest.raises(RunError, match=r"different run: training\.batch is 16 there, 8 here"):
        train(with_training(SMOKE, batch=8), whole.folder, resume=True, device="cpu")
    after = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*") if path.is_file()}
    assert before == after


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="not empty and holds no run"):
        train(SMOKE, tmp_path, device="cpu", resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_writers_are_kept_apart(tmp_path: Path) -> None:
    recorder = Recorder(SMOKE, tmp_path / "run", resume=False, made_with={})
    with recorder, pytest.raises(RunError, match="being written by another process"):
        train(SMOKE, tmp_path / "run", resume=True, device="cpu")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*file/run: Not a directory"):
        train(SMOKE, tmp_path / "file" / "run", device="cpu")


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(SMOKE, tmp_path, device="cpu", report=interrupt_at(20))
    before = numbers(Run(tmp_path))

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("abruptlab.run.checkpoints.write_atomically", full)
        with pytest.raises(RunError, match=r"No space left on device; the run is safe up to step 20"):
            train(SMOKE, tmp_path, device="cpu", resume=True)
    assert not list(tmp_path.rglob("*.tmp"))
    after = train(SMOKE, tmp_path, device="cpu", resume=True).metrics
    np.testing.assert_array_equal(before["loss"], after["loss"][:20])


def test_a_diverging_run_stops_and_names_the_last_good_checkpoint(tmp_path: Path) -> None:
    config = with_training(SMOKE, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"the loss is (nan|inf) at step \d+; the last good checkpoint is that of"):
        train(config, tmp_path, device="cpu")
    run = Run(tmp_path)
    assert np.isfinite(run.metrics["loss"]).all()
    assert max(run.steps) < len(run.metrics["step"])
    weights = load_checkpoint(run.checkpoints, max(run.steps))
    assert all(value.isfinite().all() for value in weights.values())


def test_a_value_without_a_token_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"covers -1\.00 to 1\.00"):
        train(with_task(SMOKE, factors="gaussian"), tmp_path, device="cpu")


def test_what_has_no_token_at_the_first_step_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError):
        train(with_task(SMOKE, rank=3, limit=1.0), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_no_batch_is_drawn_that_no_step_needs(tmp_path: Path) -> None:
    """The block of batches behind the last step of this run has a value without a token."""
    config = replace(with_training(SMOKE, batch=4, steps=64), seed=7)
    assert train(with_task(config, factors="gaussian", limit=8.0), tmp_path, device="cpu").finished
    with pytest.raises(VocabularyError):
        train(with_training(with_task(config, factors="gaussian", limit=8.0), steps=65), tmp_path, resume=True)


@pytest.mark.parametrize(("interrupted", "compiled"), [(True, True), (False, True), (True, False)])
def test_a_compiler_that_ctrl_c_has_ended_is_no_error(
    interrupted: bool, compiled: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def compiling(*_: object) -> None:
        if interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("C++ compile error")

    monkeypatch.setattr("abruptlab.training.loop.compiles", lambda *_: compiled)
    monkeypatch.setattr("abruptlab.training.loop.require_compiler", lambda *_: None)
    monkeypatch.setattr("abruptlab.training.loop.update_of", lambda *_: compiling)
    with pytest.raises(KeyboardInterrupt if interrupted and compiled else RuntimeError):
        train(SMOKE, tmp_path, device="cpu")


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_what_an_intervention_does_to_the_loss_is_no_divergence(factor: float, tmp_path: Path) -> None:
    config = with_training(SMOKE, steps=2000, useful_attention=factor, useful_from=0 if factor == 1 else 600)
    state = initial_state(config, choose_device("cpu"))
    state.step = 1200
    with Recorder(config, tmp_path / "run", resume=False, made_with={}) as recorder:
        losses = [1.0] * 50 + [0.001] * 550 + [1.0] * 600
        names = config.objective.names
        recorder.rows += [{"step": step, **dict.fromkeys(names, loss)} for step, loss in enumerate(losses)]
        if factor == 1:
            with pytest.raises(DivergedError, match=r"from 0\.001 to 1, at about step 600"):
                recorder.save(state)
        else:
            recorder.save(state)
            assert Run(tmp_path / "run").steps == [1200]


def test_a_rate_may_be_a_number_of_numpy(tmp_path: Path) -> None:
    run = train(with_training(SMOKE, steps=2, learning_rate=np.float32(1e-3)), tmp_path, device="cpu")
    assert run.metrics["learning_rate"] == pytest.approx([1e-3] * 2)


def test_a_batch_without_hidden_entries_has_no_masked_loss(tmp_path: Path) -> None:
    run = train(with_training(with_task(SMOKE, mask_probability=0.0), steps=3), tmp_path, device="cpu")
    assert np.isnan(run.metrics["loss_masked"]).all()
    np.testing.assert_allclose(run.metrics["loss"], run.metrics["loss_observed"], rtol=1e-6)


@pytest.mark.parametrize("mask", ["random", "coherence"])
def test_a_mixture_of_sizes_trains(tmp_path: Path, mask: str) -> None:
    config = with_training(with_task(SMOKE, sizes=((3, 3), (2, 4)), mask=mask), steps=8)
    assert np.isfinite(train(config, tmp_path, device="cpu").metrics["loss"]).all()


def test_parts_of_a_batch_add_up_to_the_batch() -> None:
    batch = sample(SMOKE.matrices, 16, 0)
    gradients, metrics = [], []
    for micro_batch in (None, 4):
        config = with_training(SMOKE, micro_batch=micro_batch)
        state = initial_state(config)
        metrics.append(Update(state, config, torch.device("cpu"))(batch))
        gradients.append([parameter.grad for parameter in state.model.parameters()])
    torch.testing.assert_close(metrics[0], metrics[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_papers_batch_is_split_on_a_cpu_only() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    paper = preset("paper")
    assert (part_size(paper, cpu), part_size(paper, gpu)) == (64, 256)
    assert part_size(preset("laptop"), cpu) == 128
    assert part_size(with_training(paper, micro_batch=32), cpu) == part_size(with_training(paper, micro_batch=32), gpu)
    assert part_size(with_training(paper, batch=7), cpu) == 7


def test_bf16_follows_fp32(tmp_path: Path, whole: Run) -> None:
    run = train(with_training(SMOKE, precision="bf16"), tmp_path, device="cpu")
    np.testing.assert_allclose(run.metrics["loss"], whole.metrics["loss"], rtol=0.1)
    assert (run.metrics["loss"] != whole.metrics["loss"]).any()
    assert all(value.dtype == torch.float32 for value in load_checkpoint(run.checkpoints, 60).values())


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    reports: list[Progress] = []
    train(SMOKE, tmp_path, device="cpu", report=reports.append)
    assert [report.step for report in reports] == sorted({report.step for report in reports})
    assert reports[-1].step == reports[-1].steps == 60
    assert reports[-1].seconds_left == 0
    assert all(report.seconds_left > 0 for report in reports[1:-1])


def test_the_time_left_counts_from_the_end_of_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is brought to disk in between, as by a checkpoint."""
    now, reports, rows = 0.0, list[Progress](), list[dict[str, float]]()
    monkeypatch.setattr("abruptlab.training.loop.time.perf_counter", lambda: now)
    recorder, trackers = (mock.create_autospec(kind, instance=True) for kind in (Recorder, Trackers))
    recorder.rows = rows
    reporter = _Reporter(recorder, SMOKE, reports.append, trackers)
    for seconds in (20.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2):
        now += seconds
        rows.append({"loss": 1.0, "loss_observed": 1.0, "loss_masked": 1.0})
        reporter.after_step()
    assert (reports[0].step, reports[0].seconds_left) == (1, pytest.approx(20 * 59))
    assert reports[-1].step == len(rows) == 7
    assert reports[-1].seconds_left == pytest.approx(0.2 * (60 - 7))
    assert reports[-1].ms_per_step == pytest.approx(200)


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"device 'tpu': expected one of this machine's: .*cpu"):
        choose_device("tpu")
    with pytest.raises(RunError, match="cuda:99"):
        choose_device("cuda:99")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(RunError, match="cuda:01"):  # which PyTorch does not know
        choose_device("cuda:01")


def test_muon_needs_a_pytorch_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    config = with_training(SMOKE, optimizer="muon")
    with pytest.raises(ConfigError, match=r"expected PyTorch 2\.9 or later"):
        build_optimizers(config.training, initial_model(config))


def test_an_optimizer_that_there_is_not_is_no_other_one() -> None:
    training = replace(SMOKE.training)
    object.__setattr__(training, "optimizer", "adan")
    with pytest.raises(ConfigError, match="no optimizer 'adan'"):
        build_optimizers(training, initial_model(SMOKE))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_the_signals_of_a_scheduler_save_and_stop(whole: Run, tmp_path: Path, number: int) -> None:
    def warned_twice(progress: Progress) -> None:
        if progress.step >= 21:
            for _ in range(1 if number == signal.SIGTERM else 2):
                os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        train(SMOKE, tmp_path / "run", device="cpu", report=warned_twice)
    assert Run(tmp_path / "run").steps[-1] == 21
    assert_same_run(whole, train(SMOKE, tmp_path / "run", resume=True, device="cpu"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_to_be_ignored_is_ignored(number: int) -> None:
    before = signal.signal(number, signal.SIG_IGN)  # as nohup does
    try:
        with finish_on_interrupt() as interrupted:
            os.kill(os.getpid(), number)
            assert not interrupted.is_set()
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}, {"compile": "no"}, {"optimizer": "muon"}])
def test_cuda_follows_the_cpu_loop_and_resumes(tmp_path: Path, changes: dict) -> None:
    config = with_training(SMOKE, **changes)
    straight = train(config, tmp_path / "straight", device="cuda")
    assert straight.metrics["loss"][-4:].mean() < straight.metrics["loss"][:4].mean()
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "broken", device="cuda", report=interrupt_at(33))
    resumed = train(config, tmp_path / "broken", resume=True, device="cuda")
    np.testing.assert_allclose(resumed.metrics["loss"], straight.metrics["loss"], rtol=0.05)


def test_parts_of_a_finished_run_are_trained_alone(whole: Run, tmp_path: Path) -> None:
    start = StartConfig(run=str(whole.folder), trained=("mlp",))
    config = replace(with_training(SMOKE, steps=8), seed=5, start=start)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", device="cpu", report=interrupt_at(3))
    run = train(config, tmp_path / "run", resume=True, device="cpu")
    assert_same_run(train(config, tmp_path / "straight", device="cpu"), run)
    final = whole.load("final")
    fresh = initial_model(replace(config, start=StartConfig()))
    mlp = parameters_of(final, ["mlp"])
    for name, parameter in run.load(0).named_parameters():
        assert torch.equal(parameter, (fresh if name in mlp else final).get_parameter(name)), name
    for name, parameter in run.load(8).named_parameters():
        assert torch.equal(parameter, run.load(0).get_parameter(name)) != (name in mlp), name


@pytest.mark.parametrize(
    "changes",
    [{}, {"model": {"attention": "linear"}}, {"optimizer": "muon"}, {"micro_batch": 4}, {"precision": "bf16"}],
    ids=lambda changes: "-".join(map(str, changes.values())) or "adam",
)
def test_a_decoder_s_run_is_exact_too(tmp_path: Path, changes: dict) -> None:
    model = replace(preset("gpt-laptop").model, width=16, mlp_width=32, **changes.pop("model", {}))
    config = replace(with_training(SMOKE, **changes, steps=24), model=model)
    straight = train(config, tmp_path / "straight", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "broken", device="cpu", report=interrupt_at(13))
    assert_same_run(straight, train(config, tmp_path / "broken", resume=True, device="cpu"))
    metrics = straight.metrics
    assert metrics["loss"][-4:].mean() < metrics["loss"][:4].mean()
    np.testing.assert_allclose(metrics["loss_prompt"][0], np.log(205), rtol=0.02)  # nothing known yet
    batch, vocabulary = sample(config.matrices, config.training.batch, config.seed, 16), Vocabulary.of(config.matrices)
    tokens = sequences(batch, vocabulary)
    with torch.no_grad():
        logits = straight.load(16)(tokens[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    assert metrics["loss"][16] == pytest.approx(loss.item(), rel=1e-5 if config.training.precision == "fp32" else 0.05)
    right = (logits[:, 9:].argmax(-1) == tokens[:, 10:])[batch.observed]
    if config.training.precision == "fp32":
        assert metrics["accuracy_observed"][16] == pytest.approx(right.float().mean().item())


def test_a_decoder_that_diverges_stops(tmp_path: Path) -> None:
    config = replace(with_training(SMOKE, optimizer="sgd", learning_rate=1e30), model=preset("gpt-laptop").model)
    with pytest.raises(DivergedError, match="the last good checkpoint is that of step"):
        train(config, tmp_path, device="cpu")


def test_muon_takes_the_matrices_of_a_decoder_s_layers() -> None:
    config = with_training(preset("gpt-laptop"), optimizer="muon")
    model = initial_model(config)
    muon, adam = build_optimizers(config.training, model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    taken = [names[id(parameter)] for group in muon.param_groups for parameter in group["params"]]
    matrices = ("attn.qkv", "attn.output", "mlp.input", "mlp.output")
    assert sorted(taken) == sorted(f"blocks.{layer}.{matrix}.weight" for layer in range(2) for matrix in matrices)
    assert sum(len(group["params"]) for group in adam.param_groups) + len(taken) == len(names)


def test_a_moment_of_a_run_that_is_not_finished_is_no_start(whole: Run, tmp_path: Path) -> None:
    """Trained on, the run would have another final step, and this one another start."""
    with pytest.raises(KeyboardInterrupt):
        train(SMOKE, tmp_path / "half", device="cpu", report=interrupt_at(20))
    half = Run(tmp_path / "half")
    config = replace(with_training(SMOKE, steps=2), start=StartConfig(run=str(half.folder), trained=("mlp",)))
    message = rf"start.step final: expected .*half to be finished, it has come to step {half.steps[-1]}: name a step"
    with pytest.raises(RunError, match=message):
        train(config, tmp_path / "run", device="cpu")
    numbered = replace(config, start=replace(config.start, step=str(half.steps[-1])))
    assert train(numbered, tmp_path / "numbered", device="cpu").finished


def test_something_must_be_trained(whole: Run, tmp_path: Path) -> None:
    start = StartConfig(run=str(whole.folder), trained=("mlp",), frozen=("mlp",))
    for optimizer in ("adam", "muon"):
        config = replace(with_training(SMOKE, optimizer=optimizer), start=start)
        with pytest.raises(ConfigError, match=r"start: expected some part that is trained, got .*mlp frozen"):
            train(config, tmp_path / "run", device="cpu")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": {"kept": ((0, 0),)}}, r"task.kept: expected \(\) with mask random, got"),
        ({"task": {"coherence_fraction": 0.9}}, "task.coherence_fraction: expected 0.5 with mask random, got 0.9"),
        (
            {"task": {"mask": "fixed", "hidden_rows": (1,), "mask_probability": 0.5}},
            "task.mask_probability: expected 0.3 with mask fixed, got 0.5",
        ),
        (
            {"useful_attention": 10.0, "useful_from": 48, "steps": 48},
            r"useful_from: expected below steps \(48\), got 48",
        ),
        ({"useful_attention": 10.0, "compile": "yes"}, "compile: expected auto or no beside useful_attention"),
    ],
)
def test_what_would_change_nothing_is_refused(changes: dict, said: str, tmp_path: Path) -> None:
    config = with_training(with_task(SMOKE, **changes.pop("task", {})), **changes)
    with pytest.raises(ConfigError, match=said):
        train(config, tmp_path / "run", device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_start_without_its_run_is_one_line(tmp_path: Path) -> None:
    config = replace(SMOKE, start=StartConfig(run="nowhere", trained=("mlp",)))
    with pytest.raises(RunError, match="nowhere is neither a run folder nor a run of the package"):
        train(config, tmp_path / "run", device="cpu")
