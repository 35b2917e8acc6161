"""Runs whose curves are made up, so that what must be found in them is known."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from abruptlab.config import MatrixTask, ModelConfig, RunConfig, TrainingConfig
from abruptlab.model.build import Model
from abruptlab.run.checkpoints import delete_checkpoint, save_checkpoint, saved_steps
from abruptlab.run.run import Run
from abruptlab.sweep.file import Point, Sweep
from abruptlab.training.state import initial_model

STEPS, ONSET, END = 4000, 1500, 2000
CONFIG = RunConfig(
    name="synthetic",
    task=MatrixTask(sizes=((4, 4),), rank=1, limit=1.0),
    model=ModelConfig(layers=1, heads=2, width=16, mlp_width=32),
    training=TrainingConfig(steps=STEPS),
)
LEVEL = CONFIG.matrices.copying_level


def make_metrics(
    steps: int = STEPS, onset: int = ONSET, end: int = END, final: float = 0.05, copied: int = 100
) -> dict[str, np.ndarray]:
    """Copying by about step `copied`, a plateau at the level of predicting zero, a fall to `final` of it."""
    step = np.arange(steps)
    noise = np.random.default_rng(0).normal(1, 0.05, (2, steps))
    fallen = np.clip((step - onset) / (end - onset), 0, 1)
    masked = LEVEL * (1 - (1 - final) * fallen) * noise[0]
    observed = LEVEL * np.where(step < copied, 1.0, 0.002) * noise[1]
    share = CONFIG.matrices.mask_probability
    return {
        "step": step,
        "loss": share * masked + (1 - share) * observed,
        "loss_observed": observed,
        "loss_masked": masked,
        "mean_abs_masked": np.sqrt(LEVEL) * (0.02 + 0.7 * fallen),
        "learning_rate": np.full(steps, 1e-3),
        "elapsed_s": step * 0.01,
    }


def make_run(
    folder: Path,
    metrics: dict[str, np.ndarray],
    checkpoints: Iterable[int] | Mapping[int, Model] = (0, 1000, STEPS),
    config: RunConfig = CONFIG,
) -> Run:
    """A run folder with these metrics; its checkpoints, as far as the metrics reach, hold the given models, or all the
    initial weights."""
    (folder / "config.toml").write_text(config.to_toml())
    columns = [(name, values.dtype.str, values.tobytes()) for name, values in metrics.items()]
    (folder / "metrics.jsonl").write_text(_as_lines(*columns))
    models = checkpoints if isinstance(checkpoints, Mapping) else dict.fromkeys(checkpoints, initial_model(config))
    there = saved_steps(folder / "checkpoints")
    for step, model in models.items():
        if step > len(metrics["step"]):
            continue
        if step in there:
            delete_checkpoint(folder / "checkpoints", step)
        made_with = {"torch": "1.2.3", "device": "an abacus"}
        save_checkpoint(folder / "checkpoints", step, model.state_dict(), {}, made_with)
    return Run(folder)


@lru_cache(maxsize=64)  # many tests have the same curves
def _as_lines(*columns: tuple[str, str, bytes]) -> str:
    names = [name for name, *_ in columns]
    values = zip(*(np.frombuffer(data, dtype).tolist() for _, dtype, data in columns), strict=True)
    rows = json.dumps([dict(zip(names, row, strict=True)) for row in values])  # at once: one by one takes long
    return rows[1:-1].replace("}, {", "}\n{") + "\n" * (rows != "[]")


def make_sweep(folder: Path, text: str, curves: Callable[[Point], dict[str, np.ndarray] | None]) -> Sweep:
    """A sweep around CONFIG ("base.toml"), each run finished with these metrics; None: it has not begun."""
    (folder / "base.toml").write_text(CONFIG.to_toml())
    (folder / "sweep.toml").write_text(text)
    sweep = Sweep(folder)
    for point in sweep.points:
        run, metrics = folder / point.key, curves(point)
        if metrics is not None and not run.exists():
            run.mkdir()
            make_run(run, metrics, (point.config.training.steps,), point.config)
    return sweep
