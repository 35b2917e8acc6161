"""Run folders with something wrong, as disks, mail programs and people make it; and what has to be there afterwards."""

import hashlib
import json
import random
import shutil
from pathlib import Path

Row = tuple[int, str]


def damage(folder: Path, seed: int) -> str:
    """Spoil one or two things in a run folder; returns what, in words."""
    random_ = random.Random(seed)
    done = []
    for _ in range(random_.choice([1, 1, 1, 2])):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
        if random_.random() < 0.4:  # most files are weights; these two are what is easily spoilt
            files = [path for path in files if path.name in ("metrics.jsonl", "config.toml")] or files
        if not files:
            break
        path = random_.choice(files)
        way = random_.choice(WAYS)
        way(path, random_)
        done.append(f"{way.__name__} {path.relative_to(folder)}")
    return ", ".join(done)


def _flip(path: Path, random_: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
        path.write_bytes(data)


def _cut(path: Path, random_: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: random_.randrange(len(data) + 1)])


def _zeros(path: Path, random_: random.Random) -> None:
    """A page of the disk that was never written."""
    data = path.read_bytes()
    at = random_.randrange(len(data) + 1)
    path.write_bytes(data[:at] + bytes(min(512, len(data) - at)) + data[at + 512 :])


def _missing(path: Path, random_: random.Random) -> None:
    path.unlink()


def _missing_folder(path: Path, random_: random.Random) -> None:
    """The checkpoint that the file is in; of another file, itself."""
    if path.parent.name.startswith("step_"):
        shutil.rmtree(path.parent)
    else:
        path.unlink()


def _lines(path: Path, random_: random.Random) -> None:
    """Some lines twice, gone, or exchanged."""
    lines = path.read_bytes().split(b"\n")
    first, last = sorted(random_.choices(range(len(lines) + 1), k=2))
    part = lines[first:last]
    part = random_.choice([[], part + part, part[::-1], [line.replace(b"0", b"o", 1) for line in part]])
    path.write_bytes(b"\n".join([*lines[:first], *part, *lines[last:]]))


def _other(path: Path, random_: random.Random) -> None:
    """Something else altogether."""
    path.write_bytes(random_.choice([b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"step": "x"}', random_.randbytes(99)]))


WAYS = [_flip, _flip, _flip, _cut, _zeros, _missing, _missing_folder, _lines, _other]


def weights(folder: Path) -> dict[int, str]:
    """Of each checkpoint in the run, or set aside, the hash of its weights (of several of a step, of any)."""
    return {
        int(path.parent.name.removeprefix("step_")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("step_*/model.safetensors")
    }


def all_weights(folder: Path) -> set[str]:
    """The hashes of all weights in the run, or set aside; not those of a checkpoint that a kill left unfinished, which
    the next attempt begins anew."""
    there = (path for path in folder.rglob("model.safetensors") if path.parent.suffix != ".tmp")
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in there}


def rows(folder: Path) -> set[Row]:
    """All rows in the run, or set aside, with their steps and without their times."""
    return {
        row
        for path in (folder / "metrics.jsonl", *folder.glob("set-aside/*/metrics.jsonl"))
        if path.is_file()
        for line in path.read_bytes().split(b"\n")
        if (row := _row(line)) is not None
    }


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
        row.pop("elapsed_s")
        return int(row["step"]), json.dumps(row)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
