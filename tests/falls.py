"""A sweep over matrices whose losses are made up, so that what must be found in them is known."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from abruptlab.presets import preset
from abruptlab.run.checkpoints import save_checkpoint
from abruptlab.sweep.file import Sweep
from abruptlab.training.state import initial_model

STEPS = 2000


def make_sweep(folder: Path, name: str, families: Mapping[str, Mapping[str, int | None]]) -> Sweep:
    """Of each family the labels with the step at which their L_mask falls, within 100 steps, from the level of
    predicting zero to nothing; ten steps later with each seed of 1 and 2. None: the runs are not finished."""
    base = preset("smoke")
    base = replace(base, training=replace(base.training, steps=STEPS))
    (folder / "base.toml").write_text(base.to_toml())
    labels = [(family, label) for family, onsets in families.items() for label in onsets]
    number = {label: at for at, label in enumerate(dict.fromkeys(label for _, label in labels))}
    variants = "".join(
        f'[[variants]]\nfamily = "{family}"\nlabel = "{label}"\ntraining.useful_attention = {1 + number[label] / 100}\n'
        for family, label in labels
    )
    (folder / "sweep.toml").write_text(f'name = "{name}"\nbase = "base.toml"\nseeds = [1, 2]\n{variants}')
    sweep = Sweep(folder)
    for point in sweep.points:
        onset = families[point.family][point.label]
        if onset is None:
            continue
        run = folder / point.key
        run.mkdir(exist_ok=True)
        (run / "config.toml").write_text(point.config.to_toml())
        level = point.config.objective.level
        assert level is not None
        masked = level * (1 - np.clip((np.arange(STEPS) - onset - 10 * point.config.seed) / 100, 0, 1))
        rows = [
            {
                "step": step,
                "loss": 0.3 * value,
                "loss_observed": 0.0,
                "loss_masked": value,
                "mean_abs_masked": 0.0,
                "learning_rate": 1e-3,
                "elapsed_s": 0.0,
            }
            for step, value in enumerate(masked.tolist())
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        save_checkpoint(run / "checkpoints", STEPS, initial_model(point.config).state_dict(), {}, {})
    return sweep
