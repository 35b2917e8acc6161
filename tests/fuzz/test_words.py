"""Random command lines: sense exits with 0, nonsense with a line, and leaves nothing behind."""

import shutil
from pathlib import Path

import pytest

from tests.fuzz.outcome import counted, run
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
    monkeypatch.setattr("os.nice", lambda by: by)
    monkeypatch.setattr("abruptlab.figures.save.render", lambda figure, ending: b"drawn")  # which takes seconds
    wrong: list[str] = []
    before = tree(room)
    for seed in range(COUNT):
        made = line(seed)
        try:
            outcome = run(*made.words)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            wrong.append(f"{seed} {made}: {type(error).__name__}: {error}")
            continue
        finally:
            after = tree(room)
            new = {Path(name).parts[0] for name in after.keys() - before.keys()}
            for name in new:
                shutil.rmtree(room / name) if (room / name).is_dir() else (room / name).unlink()
        if (outcome.status == 0) != made.sense or not outcome.is_clear:
            wrong.append(f"{seed} {made}: exit {outcome.status}, {outcome.err[-300:]!r}")
        if not made.sense and after != before:
            wrong.append(f"{seed} {made}: left {sorted(after.keys() ^ before.keys())[:5] or 'something changed'}")
        if tree(room) != before:
            raise AssertionError(f"{seed} {made} changed what was there")
    assert not wrong, f"{len(wrong)} of {COUNT}:\n" + "\n".join(wrong)
