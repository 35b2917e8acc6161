"""Checkpoints: one folder a step, written whole or not at all, and checked by size and hash before they are used.

checkpoints/step_000512/model.safetensors        the weights after 512 updates
                        optimizer.safetensors    only in the newest two: what resuming needs
                        meta.json                step, versions and device, size and SHA-256 of each file
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from abruptlab.errors import CheckpointError
from abruptlab.system.files import write_atomically

Part = Literal["model", "optimizer"]
RESUMABLE = 2  # how many checkpoints keep their optimizer: the newest, and one in case the newest is damaged


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Where the checkpoint of `step` lies, in a run's checkpoints folder."""
    return folder / f"step_{step:06d}"


def saved_steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, ascending; whether each is intact is seen when it is loaded."""
    return sorted(int(path.name.removeprefix("step_")) for path in folder.glob("step_*"))


def save_checkpoint(
    folder: Path, step: int, model: dict[str, Tensor], optimizer: dict[str, Tensor], made_with: dict[str, str]
) -> None:
    """Write the checkpoint of `step`, and drop the optimizer from all but the newest two.

    Raises `OSError` if it cannot be written; what was there before stays.
    """
    target = checkpoint_folder(folder, step)
    partial = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        files = {}
        for part, tensors in (("model", model), ("optimizer", optimizer)):
            data = to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
            write_atomically(partial / f"{part}.safetensors", data)
            files[f"{part}.safetensors"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        meta = {"step": step, "made_with": made_with, "files": files}
        write_atomically(partial / "meta.json", json.dumps(meta, indent=1) + "\n")
        shutil.rmtree(target, ignore_errors=True)  # a damaged one that is being replaced
        partial.replace(target)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for older in saved_steps(folder)[:-RESUMABLE]:
        (checkpoint_folder(folder, older) / "optimizer.safetensors").unlink(missing_ok=True)


def read_meta(folder: Path, step: int) -> dict:
    """The `meta.json` of a checkpoint. Raises `CheckpointError` if it is missing or damaged."""
    path = checkpoint_folder(folder, step) / "meta.json"
    try:
        meta = json.loads(path.read_bytes())
        if meta["step"] == step and isinstance(meta["files"], dict):
            return meta
        raise CheckpointError(f"{path}: expected the meta data of step {step}, got step {meta['step']!r}")
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def load_checkpoint(folder: Path, step: int, part: Part = "model") -> dict[str, Tensor]:
    """The tensors of one part of a checkpoint, on the CPU.

    Raises `CheckpointError`, naming the file, if it is missing, truncated or altered.
    """
    path = checkpoint_folder(folder, step) / f"{part}.safetensors"
    expected = read_meta(folder, step)["files"].get(path.name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    actual = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if actual != expected:
        differs = "bytes" if not expected or actual["bytes"] != expected["bytes"] else "sha256"
        wanted = expected[differs] if expected else "no such file"
        raise CheckpointError(f"{path} is damaged: expected {differs} {wanted}, got {actual[differs]}")
    try:
        return from_bytes(data)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def delete_checkpoint(folder: Path, step: int) -> None:
    """Remove the checkpoint of `step`."""
    shutil.rmtree(checkpoint_folder(folder, step))
