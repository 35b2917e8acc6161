"""A checkpoint as a folder for the Hugging Face hub: weights, configuration with the task, and a model card."""

import json
import shutil
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from abruptlab.arguments import checked
from abruptlab.errors import ConfigError, RunError
from abruptlab.model.huggingface import ABOUT, save_pretrained
from abruptlab.run.metrics import known_mean
from abruptlab.run.run import Run
from abruptlab.system.files import unfinished, write_atomically, writing
from abruptlab.system.provenance import versions
from abruptlab.task.vocabulary import Vocabulary

AVERAGED = 100  # steps over which the card's losses are means


@checked
def export(run: Run, folder: Path | str, step: int | str = "final") -> None:
    """Write the model after `step` updates (or at a milestone, by name) to `folder`, which transformers reads: an
    encoder by `AutoModelForTokenClassification`, a decoder by `AutoModelForCausalLM`.

    Its config.json says under `abruptlab` which run it is, the task included, and which step. An exported folder is
    written over; any other that is not empty is refused.

    Raises `RunError` for such a folder or one that cannot be written, `CheckpointError` if there is no such checkpoint,
    `ConfigError` for a run that multiplied its useful attention, and what `huggingface.to_huggingface` raises.
    """
    folder, step = Path(folder), run.resolve(step)
    partial = unfinished(folder.resolve())
    if run.config.training.useful_attention != 1 and step > run.config.training.useful_from:
        raise ConfigError(f"{run.folder}: expected a stock model's attention; its useful attention was multiplied")
    if folder.is_dir() and any(folder.iterdir()) and not (said_of(folder) or said_of(partial)):
        raise RunError(f"{folder} is not empty and holds no exported model; choose another folder")
    about = {"version": versions()["abruptlab"], "step": step, "run": tomllib.loads(run.config.to_toml())}
    readme = card(run, step, folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        save_pretrained(run.load(step), partial, about)
        with writing(folder):
            write_atomically(partial / "README.md", readme)
            folder.mkdir(parents=True, exist_ok=True)
    except RunError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    with writing(folder):
        _put_in_place(partial, folder)


def _put_in_place(partial: Path, folder: Path) -> None:
    """Move the files over those of an older export. At no moment does config.json, which says the step, stand beside
    the weights of another one; after a kill on the way it is missing there, and still in `partial`."""
    (folder / "config.json").unlink(missing_ok=True)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
        path.replace(folder / path.name)
    partial.rmdir()


def said_of(folder: Path) -> dict[str, Any]:
    """What `export` wrote about the model into a folder: its step and its run's configuration; nothing of any other."""
    try:
        about = json.loads((folder / "config.json").read_text()).get(ABOUT, {})
        return about if isinstance(about.get("step", 0), int) else {}
    except (OSError, ValueError, AttributeError):
        return {}  # who loads it is told what is wrong


def card(run: Run, step: int, folder: Path | str) -> str:
    """The model card: what the model is, how to call it, how it was trained, what was measured."""
    template = Template(
        files("abruptlab.run").joinpath("card.md.jinja").read_text(encoding="utf-8"),
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    objective, metrics = run.objective, run.metrics
    last = (metrics["step"] < step) & (metrics["step"] >= step - AVERAGED)
    example = objective.inputs(next(run.config.task.stream(1, 0)))[0].tolist()
    return template.render(
        config=run.config,
        kind=objective.kind,
        step=step,
        folder=Path(folder).name,
        zero=Vocabulary.of(run.config.matrices).zero if objective.kind != "sequence" else None,
        example=example[: objective.answer] if run.config.model.causal else example,
        answer=objective.places - objective.answer,
        averaged=int(last.sum()),
        losses={name: known_mean(metrics[name][last]) for name in objective.names if last.any()},
        drop=run.drop,
        known=len(metrics["step"]) > 0,
    )
