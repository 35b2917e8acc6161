"""Other people's checkpoints as a run: those of the paper's authors, and folders of Hugging Face BERTs.

Every figure and claim that needs no losses of the training then works on them; with the losses, the rest as well. What
the authors' files do not say, or have otherwise: the number of heads is tried out (a wrong one does not copy), of their
512 positions those of the matrix are kept (the others were never trained), and epoch e is step e + 1.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from abruptlab.arguments import require
from abruptlab.config import RunConfig, TrainingConfig
from abruptlab.errors import CheckpointError, ConfigError, RunError
from abruptlab.model.encoder import Encoder
from abruptlab.model.huggingface import ABOUT, load_authors_checkpoint, load_huggingface, read_authors_checkpoint
from abruptlab.run.checkpoints import IMPORTED, digest, save_checkpoint
from abruptlab.run.export import said_of
from abruptlab.run.metrics import Row, as_line
from abruptlab.run.run import ALWAYS, MILESTONES, Run
from abruptlab.system.files import whole_folder, write_atomically, writing
from abruptlab.task.matrices import sample
from abruptlab.task.matrix import MatrixTask

TRIED = 128  # matrices on which numbers of heads are compared
CLEARLY = 0.9  # of the error of the next best; on the plateau, where attention does not matter, all are about equal
LOSSES = ("step", "loss", "loss_observed", "loss_masked")  # columns that a file of losses must have


def task_of(path: Path) -> MatrixTask | None:
    """The matrices that an exported folder says its model completes; None for a file that does not say it.

    Raises `ConfigError` if the folder's configuration makes no sense.
    """
    run = said_of(path).get("run")
    if run is None:
        return None
    require(isinstance(run, dict), f"{path}: {ABOUT}.run in config.json", "a configuration", run)
    return RunConfig.from_table(run).matrices


def import_run(
    files: Sequence[Path],
    out: Path,
    task: MatrixTask,
    steps: Sequence[int] = (),
    heads: int | None = None,
    losses_file: Path | None = None,
    milestones: Mapping[str, int] | None = None,
) -> Run:
    """Write a run folder with these checkpoints of one model; nothing is left behind if one of them cannot be read.

    Args:
        files: checkpoints of the authors' format, or folders that `model.huggingface.save_pretrained` writes.
        out: the run folder, which must not be there yet.
        task: sizes and rank of the matrices; how far the vocabulary reaches is read off the weights.
        steps: of each file, the updates until then (default: what an exported folder says, the authors' epoch + 1, else
            the number that ends the name).
        heads: of the authors' format (default: tried out at the last checkpoint).
        losses_file: CSV with the columns `LOSSES`, and any others of a run's metrics, of every step from 0 on.
        milestones: `AROUND_THE_DROP`, for want of losses.

    Raises `CheckpointError`, `ConfigError` or `RunError` that say what was expected.
    """
    if out.exists():
        raise RunError(f"{out} is there already; give --out the name of a new folder")
    require(len(steps) in (0, len(files)), "steps", f"one for each of the {len(files)} files", len(steps))
    require(heads is None or heads >= 1, "heads", "at least 1", heads)
    alone = heads is None or not all(path.is_dir() for path in files)
    require(alone, "heads", "none, as folders say how many they have", heads)
    file_steps = list(steps) if steps else [_step_of(path) for path in files]
    listed = ", ".join(map(str, file_steps))
    require(all(step >= 0 for step in file_steps), "steps", "0 or more", listed)
    require(len({*file_steps}) == len(file_steps), "steps", "different ones", listed)
    given = dict(milestones or {})
    for name, step in given.items():
        require(step in file_steps, name, f"one of the steps {', '.join(map(str, sorted(file_steps)))}", step)
    ordered = [path for _, path in sorted(zip(file_steps, files, strict=True))]
    task = replace(task, limit=_limit_of(ordered[-1], task))
    count = _heads_of(ordered[-1], task) if heads is None else heads
    models = [_cut(_load(path, count), task, path) for path in ordered]
    if len({model.config for model in models}) > 1:
        raise CheckpointError(f"expected checkpoints of one model, {files[0]} and others differ in their sizes")
    config = RunConfig("imported", task=task, model=models[0].config, training=TrainingConfig(steps=max(file_steps)))
    rows = _read_losses(losses_file, config.objective.names) if losses_file else []
    expected = f"those of the {max(file_steps)} steps until the last checkpoint, at least"
    require(not rows or len(rows) >= max(file_steps), "losses", expected, f"those of {len(rows)}")
    table = b"".join(map(as_line, rows))
    with writing(out), whole_folder(out) as partial:
        for step, model, path in zip(sorted(file_steps), models, ordered, strict=True):
            signed, made_with = digest(table), {IMPORTED: str(path)}
            save_checkpoint(partial / "checkpoints", step, model.state_dict(), {}, made_with, metrics=signed)
        if rows:
            write_atomically(partial / "metrics.jsonl", table)
        if given:
            write_atomically(partial / MILESTONES, json.dumps(given) + "\n")
        write_atomically(partial / "config.toml", config.to_toml())
    return Run(out)


def _step_of(path: Path) -> int:
    if (step := said_of(path).get("step")) is not None:
        return step
    epoch = None if path.is_dir() else read_authors_checkpoint(path)[1]
    if epoch is not None:
        return epoch + 1
    digits = path.stem[len(path.stem.rstrip("0123456789")) :]
    if not digits:
        raise ConfigError(f"{path} does not say its step: expected --steps, one for each file")
    return int(digits)


def _load(path: Path, heads: int) -> Encoder:
    if path.is_dir():
        model = load_huggingface(path)
        if not isinstance(model, Encoder):
            raise CheckpointError(f"{path}: expected a BERT, got another model")
        return model
    return load_authors_checkpoint(path, heads)


def _limit_of(path: Path, task: MatrixTask) -> float:
    """How far the vocabulary reaches, from the number of its tokens: 2 (limit · 10^decimals + 1)."""
    tokens = _load(path, 1).token_embedding.num_embeddings
    if tokens % 2:
        raise CheckpointError(f"{path}: expected MASK and as many values above as below 0, got {tokens} tokens")
    return (tokens // 2 - 1) / 10**task.decimals


def _heads_of(path: Path, task: MatrixTask) -> int:
    """The number of heads with which the model's error is least."""
    width = _load(path, 1).config.width
    batch = sample(task, TRIED, seed=0)
    errors = {}
    for heads in (count for count in range(1, width + 1) if width % count == 0):
        model = _cut(_load(path, heads), task, path)
        if path.is_dir():
            return model.config.heads  # which says it itself
        with torch.no_grad():
            errors[heads] = float((model(batch.tokens) - batch.values).square().mean())
    best, next_best = sorted(errors, key=errors.__getitem__)[:2] if len(errors) > 1 else (1, 1)
    if best != next_best and errors[best] > CLEARLY * errors[next_best]:
        raise ConfigError(
            f"{path} does not say how many heads it has, and its errors do not tell ({best}: {errors[best]:.2g}, "
            f"{next_best}: {errors[next_best]:.2g}): expected --heads"
        )
    return best


def _cut(model: Encoder, task: MatrixTask, path: Path) -> Encoder:
    """The model with the positions of the task's matrices alone."""
    there, needed = model.position_embedding.weight, task.positions
    if len(there) < needed:
        raise CheckpointError(f"{path}: expected {needed} positions or more for {task.sizes[0]}, got {len(there)}")
    cut = Encoder(model.config, model.token_embedding.num_embeddings, needed)
    weights = model.state_dict()
    weights["position_embedding.weight"] = there[:needed].detach().clone()
    cut.load_state_dict(weights)
    return cut.eval()


def _read_losses(path: Path, measured: Sequence[str]) -> list[Row]:
    """The rows of a file of losses as those of a metrics file; what it lacks is NaN."""
    names = ("step", *measured, *ALWAYS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"cannot read {path}: {error}") from None
    columns = [*table[0]] if table else []
    if missing := [name for name in LOSSES if name not in columns]:
        raise RunError(f"{path}: expected the columns {', '.join(LOSSES)}, found no {', '.join(missing)}")
    try:
        rows = [
            {name: float(row[name]) if row.get(name) else math.nan for name in names}
            | {"step": int(row["step"]), "elapsed_s": float(row.get("elapsed_s") or 0)}
            for row in table
        ]
    except (ValueError, TypeError) as error:  # the latter of a row that ends before its step
        raise RunError(f"{path}: expected numbers, {error}") from None
    if strange := next(((step, row["step"]) for step, row in enumerate(rows) if row["step"] != step), None):
        raise RunError(f"{path}: expected every step from 0 on, got step {strange[1]} where {strange[0]} should be")
    return rows
