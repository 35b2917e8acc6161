"""Runs of a task of sequences whose curves and measures are made up, so that what must be found in them is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from abruptlab.config import RunConfig
from abruptlab.presets import preset
from abruptlab.run.checkpoints import save_checkpoint
from abruptlab.run.run import Run
from abruptlab.task.window_sum import WindowSum
from abruptlab.training.state import initial_model

STEPS, ONSET = 1000, 400
SMALL = preset("window-sum")
SMALL = replace(
    SMALL,
    task=WindowSum(length=4, modulus=5),
    model=replace(SMALL.model, width=8, mlp_width=8),
    training=replace(SMALL.training, steps=STEPS, batch=4, measure_every=10),
)


def make_folder(folder: Path, config: RunConfig = SMALL, onset: int = ONSET, measures: bool = True) -> Run:
    """A run whose loss and accuracy stay until the onset and then go within 100 steps; the first place is learnt by
    step 100, the collapse goes from 0.9 to 0.1, the attention rises from 0.2 to 0.8 until step 500."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(config.to_toml())
    steps = np.arange(config.training.steps)
    fallen = np.clip((steps - onset) / 100, 0, 1)
    loss = 1.6 - 1.5 * fallen
    rows = [
        {
            "step": int(at),
            "loss": x,
            "loss_prompt": 1.6,
            "loss_answer": x,
            "accuracy": 0.2,
            "learning_rate": 1e-4,
            "elapsed_s": 0.0,
        }
        for at, x in zip(steps, loss, strict=True)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for step in {min(onset // 2, config.training.steps), config.training.steps}:
        save_checkpoint(folder / "checkpoints", step, initial_model(config).state_dict(), {}, {})
    at = np.arange(0, config.training.steps + 1, 10)
    learnt = np.clip((at - onset) / 100, 0, 1)
    places = np.stack([(at >= 100).astype(float), *[0.2 + 0.8 * learnt] * 3], 1)
    if measures:
        measured = [
            {
                "step": int(step),
                "accuracy": place.mean(),
                "whole": share,
                "repetition": 0.7 - 0.5 * share,
                "collapse": 0.9 - 0.8 * share,
                "attention": 0.2 + 0.6 * min(1, step / 500),
                "places": place.tolist(),
            }
            for step, share, place in zip(at, learnt, places, strict=True)
        ]
        (folder / "measures.jsonl").write_text("".join(json.dumps(row) + "\n" for row in measured))
    return Run(folder)
