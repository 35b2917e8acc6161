"""Random command lines: sense exits with 0, nonsense with a line, and leaves nothing behind."""

import shutil
from pathlib import Path

import pytest

from tests.fuzz.outcome import Tally, counted, run
from tests.fuzz.words import furnish, line

COUNT = counted("FUZZ_WORDS", 40)


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("room")
    furnish(folder)
    return folder


def test_random_command_lines(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room)
    monkeypatch.setattr("abruptlab.figures.save.render", lambda figure, ending: b"drawn")  # which takes seconds
    tally, before = Tally("command lines"), tree(room)
    for seed in range(COUNT):
        made, wrong = line(seed), []
        try:
            outcome = run(*made.words)
            if (outcome.status == 0) != made.sense or not outcome.is_clear:
                wrong.append(f"exit {outcome.status}, {outcome.err[-300:]!r}")
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
        after = tree(room)
        if not made.sense and after != before:
            wrong.append(f"left {sorted(after.keys() ^ before.keys())[:5] or 'something changed'}")
        for name in {Path(name).parts[0] for name in after.keys() - before.keys()}:
            shutil.rmtree(room / name) if (room / name).is_dir() else (room / name).unlink()
        assert tree(room) == before, f"{seed} {made} changed what was there"
        tally.add(f"{seed} {made}", wrong)
    tally.judge()
