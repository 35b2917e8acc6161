"""Checkpoints: one folder a step, written whole or not at all, and checked by size and hash before they are used.

checkpoints/step_000512/model.safetensors        the weights after 512 updates
                        optimizer.safetensors    only in the newest two: what resuming needs
                        meta.json                step, versions and device, size and SHA-256 of each file and of the
                                                 rows of metrics before the step, and the configuration
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load as from_bytes, save as to_bytes
from torch import Tensor, nn

from abruptlab.arguments import validator
from abruptlab.errors import CheckpointError
from abruptlab.system.files import unfinished, whole_folder, write_atomically

if TYPE_CHECKING:
    from abruptlab.config import RunConfig

Part = Literal["model", "optimizer"]
RESUMABLE = 2  # how many checkpoints keep their optimizer: the newest, and one in case the newest is damaged
IMPORTED = "imported from"  # in `Meta.made_with`, of other people's checkpoints


@dataclass(frozen=True)
class Digest:
    """What tells whether bytes are still the same."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Meta:
    """What a checkpoint says of itself."""

    step: int
    made_with: dict[str, str]  # versions, device
    files: dict[str, Digest]
    config: dict[str, Any] | None = None  # `RunConfig.decisive`; older ones have none
    metrics: Digest | None = None  # of the rows of metrics before `step`; older ones have none

    @property
    def imported(self) -> bool:
        """Whether it is of a run whose losses were given as a whole, or not at all (`imported`)."""
        return IMPORTED in self.made_with


def digest(data: bytes) -> Digest:
    """What tells these bytes from others."""
    return Digest(len(data), hashlib.sha256(data).hexdigest())


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Where the checkpoint of `step` lies, in a run's checkpoints folder."""
    return folder / f"step_{step:06d}"


def saved_steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, ascending; whether each is intact is seen when it is loaded."""
    matches = [re.fullmatch(r"step_(\d{6,18})", path.name, re.ASCII) for path in folder.glob("step_*") if path.is_dir()]
    steps = sorted(int(name[1]) for name in matches if name)
    return [step for step in steps if _has_files(checkpoint_folder(folder, step))]  # not step_0000007


def _has_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):  # the one who trains may delete it just now
        return False


def save_checkpoint(
    folder: Path,
    step: int,
    model: dict[str, Tensor],
    optimizer: dict[str, Tensor],
    made_with: dict[str, str],
    *,
    config: dict[str, Any] | None = None,
    metrics: Digest | None = None,
) -> None:
    """Write the checkpoint of `step`, and drop the optimizer from all but the newest two.

    Raises `OSError` if it cannot be written; what was there before stays.
    """
    files = {}
    with whole_folder(checkpoint_folder(folder, step)) as partial:
        for part, tensors in (("model", model), ("optimizer", optimizer)):
            data = to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
            write_atomically(partial / f"{part}.safetensors", data)
            files[f"{part}.safetensors"] = digest(data)
        meta = Meta(step, made_with, files, config, metrics)
        write_atomically(partial / "meta.json", json.dumps(asdict(meta), indent=1) + "\n")
    for older in saved_steps(folder)[:-RESUMABLE]:
        (checkpoint_folder(folder, older) / "optimizer.safetensors").unlink(missing_ok=True)


def read_meta(folder: Path, step: int) -> Meta:
    """The `meta.json` of a checkpoint. Raises `CheckpointError` if it is missing or damaged."""
    from pydantic import ValidationError

    path = checkpoint_folder(folder, step) / "meta.json"
    try:
        meta: Meta = validator(Meta).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    except ValidationError as error:
        mistake = error.errors()[0]
        where = ".".join(map(str, mistake["loc"]))
        raise CheckpointError(f"{path} is damaged: {where}{': ' if where else ''}{mistake['msg']}") from None
    if meta.step != step:
        raise CheckpointError(f"{path}: expected the meta data of step {step}, got step {meta.step!r}")
    return meta


def newest_meta(folder: Path) -> Meta | None:
    """That of the newest checkpoint whose meta data can be read."""
    for step in reversed(saved_steps(folder)):
        try:
            return read_meta(folder, step)
        except CheckpointError:
            continue
    return None


def require_config(meta: Meta, config: "RunConfig", where: Path) -> None:
    """Raises `CheckpointError`, naming the first field that differs, if a run's checkpoint is of another configuration
    than its folder `where` says."""
    ours = config.decisive
    for name, saved in (meta.config or {}).items():
        if name == "training.steps" and type(saved) is int and config.prolongs(saved):
            continue  # it was trained on
        if name in ours and ours[name] != saved:
            raise CheckpointError(
                f"{where}: config.toml has {name} {ours[name]!r}, its checkpoint of step {meta.step} is of a run with "
                f"{saved!r}; one of them has been changed"
            )


def load_checkpoint(folder: Path, step: int, part: Part = "model") -> dict[str, Tensor]:
    """The tensors of one part of a checkpoint, on the CPU.

    Raises `CheckpointError`, naming the file, if it is missing, truncated or altered.
    """
    path = checkpoint_folder(folder, step) / f"{part}.safetensors"
    expected = read_meta(folder, step).files.get(path.name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    actual = digest(data)
    if actual != expected:
        differs = "bytes" if not expected or actual.bytes != expected.bytes else "sha256"
        wanted = getattr(expected, differs) if expected else "no such file"
        raise CheckpointError(f"{path} is damaged: expected {differs} {wanted}, got {getattr(actual, differs)}")
    try:
        return from_bytes(data)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def put_weights(model: nn.Module, weights: Mapping[str, Tensor], checkpoint: Path) -> None:
    """Put the weights of a checkpoint into a model. Raises `CheckpointError` if they are those of another one."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise CheckpointError(f"{checkpoint} does not fit the run's configuration: {first[0].strip()}") from None


def delete_checkpoint(folder: Path, step: int) -> None:
    """Remove the checkpoint of `step`, whole or not at all: what a kill leaves of it is no checkpoint."""
    target = checkpoint_folder(folder, step)
    shutil.rmtree(unfinished(target), ignore_errors=True)
    shutil.rmtree(target.rename(unfinished(target)))


def delete_unfinished(folder: Path) -> None:
    """Remove what a killed process left half written or half deleted."""
    for partial in folder.glob(".step_*.tmp"):
        shutil.rmtree(partial, ignore_errors=True)
