"""Writing files so that a reader sees the old content or the new, never a half of it."""

import os
import secrets
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from abruptlab.errors import RunError


@contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turns a failure to write there into a `RunError` that names the file."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {error.filename or where}: {error.strerror or error}") from None


def content_of(path: Path) -> bytes:
    """What is in a file; nothing in a missing one. Raises `RunError` if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from None


def write_atomically(path: Path, content: bytes | str, mode: int | None = None) -> None:
    """Write `content` (text as UTF-8) to `path`: to a neighbour first, synced, then renamed over it.

    The file has the permissions `mode`, or those of any new file.
    Raises `OSError` (full disk, read-only folder) with `path` as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    # a name of this call's own, as others may write the same file, also on other machines
    neighbour = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with neighbour.open("wb") as file:
            if mode is not None:
                neighbour.chmod(mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        neighbour.replace(path)
    except OSError:
        neighbour.unlink(missing_ok=True)
        raise


def is_leftover(path: Path, files: Collection[Path]) -> bool:
    """Whether it is what a killed process has left of one of these files, or another one is writing just now."""
    return path.suffix == ".tmp" and any(
        path.parent == file.parent and path.name.startswith(f".{file.name}.") for file in files
    )


def remove_leftovers(folder: Path, files: Collection[Path]) -> None:
    """Remove what is left of these files in their folder, where nobody else writes them. Raises `OSError`."""
    for path in list(folder.iterdir()):
        if is_leftover(path, files):
            path.unlink()


def unfinished(path: Path) -> Path:
    """Where what will be the folder `path` is written first; a process that is killed may leave it."""
    return path.with_name(f".{path.name}.tmp")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Where to write what will be the folder `path`: it is put there, synced, at the end of the block, or not at all.

    Raises `OSError` if it cannot be written; nothing is left of it then.
    """
    partial = unfinished(path)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        sync_folder(partial)
        partial.replace(path)
        sync_folder(path.parent)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def sync_folder(folder: Path) -> None:
    """Bring what was renamed in a folder to the disk, so that a power cut keeps the order of renaming and deleting.

    Does nothing on Windows, where folders cannot be synced. Raises `OSError`.
    """
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
