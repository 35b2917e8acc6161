"""Long work says how far it is, to whoever asks; the command line asks."""

import io
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from abruptlab.cli import tracking
from abruptlab.cli.tracking import Tracking
from abruptlab.system.tracking import track, tracked_by
from tests.cli.test_cli import abruptlab
from tests.synthetic import make_metrics, make_run


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the one who runs the tests, by which a file is a terminal, or a terminal none."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test sets, by its one entry, and nothing that shows itself meanwhile."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(tracking, "TICK_S", 1e6)
    return now


def test_nobody_listens_unless_asked() -> None:
    things = [1, 2]
    assert track(things, "things") is things


def test_who_listens_sees_every_thing_and_what_they_are_called() -> None:
    seen: list[tuple[str, Any]] = []

    def note(things: Sequence[Any], what: str) -> Iterator[Any]:
        for thing in things:
            seen.append((what, thing))
            yield thing

    with tracked_by(note):
        assert [outer * inner for outer in track([2, 3], "outer") for inner in track([5, 7], "inner")] == [
            10,
            14,
            15,
            21,
        ]
    assert seen == [("outer", 2), ("inner", 5), ("inner", 7), ("outer", 3), ("inner", 5), ("inner", 7)]
    with pytest.raises(ZeroDivisionError), tracked_by(note):
        raise ZeroDivisionError
    assert track(seen, "things") is seen


def test_lines_come_now_and_then_with_the_time_that_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Tracking() as shown, tracked_by(shown):
        for _ in track(range(4), "claims"):
            for _ in track(range(5), "checkpoints"):
                clock[0] += 10  # 200 s in all
                for _ in track(["one"], "alone"):
                    shown.show()
        shown.show()
    assert capsys.readouterr().err.splitlines() == [
        "0:04:30 left: claims 1 of 4, checkpoints 3 of 5",
        "0:03:00 left: claims 2 of 4, checkpoints 1 of 5",
        "0:02:15 left: claims 2 of 4, checkpoints 4 of 5",
        "0:01:38 left: claims 3 of 4, checkpoints 2 of 5",
        "0:01:04 left: claims 3 of 4, checkpoints 5 of 5",
        "0:00:32 left: claims 4 of 4, checkpoints 3 of 5",
    ]


def test_what_was_kept_says_nothing_of_the_time_that_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Tracking() as shown, tracked_by(shown):
        for figure in track(range(10), "figures"):
            for _ in track(range(2), "checkpoints"):
                clock[0] += 0.1 if figure < 6 else 30
                shown.show()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "time left unknown: figures 7 of 10, checkpoints 1 of 2"
    assert lines[1] == "0:07:00 left: figures 7 of 10, checkpoints 2 of 2"  # 60 s for half of one of four
    assert lines[2] == "0:04:30 left: figures 8 of 10, checkpoints 1 of 2"


def test_what_is_given_up_is_shown_no_longer(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    kept = []
    with Tracking() as shown, tracked_by(shown):
        for claim in track(range(3), "claims"):
            clock[0] += 40
            inner = iter(track(range(9), "checkpoints"))
            next(inner)
            kept.append(inner)  # as a traceback keeps it
            shown.show()
            if claim == 2:
                kept[0].close()
                clock[0] += 40
                next(inner)
                shown.show()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "claims 1 of 3, checkpoints 1 of 9",
        "claims 2 of 3, checkpoints 1 of 9",
        "claims 3 of 3, checkpoints 1 of 9",
        "claims 3 of 3, checkpoints 2 of 9",
    ]
    assert lines[0].startswith("time left unknown: ")


def test_a_terminal_has_a_bar_of_what_takes_longer_than_a_moment(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, force_interactive=True, width=100)
    monkeypatch.setattr(tracking, "plain_console", lambda stderr: console)
    with Tracking() as shown, tracked_by(shown):
        for _ in track(range(50), "quick"):
            pass
        shown.show()
        assert not screen.getvalue()
        for _ in track(range(4), "[claims]"):
            clock[0] += 2
            shown.show()
        drawn = screen.getvalue()
        assert "time left unknown: [claims] 1 of 4" in drawn
        assert "0:00:06 left: [claims] 3 of 4" in drawn


def test_a_single_thing_that_takes_long_is_shown_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "TICK_S", 0.01)
    monkeypatch.setattr(tracking, "LINE_EVERY_S", 0.0)
    threads = threading.active_count()
    with Tracking() as shown, tracked_by(shown):
        for _ in track(range(2), "things"):
            until = time.monotonic() + 20
            while "things" not in capsys.readouterr().err and time.monotonic() < until:
                time.sleep(0.01)
            assert time.monotonic() < until
            break
    until = time.monotonic() + 20
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == threads


def test_a_command_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "TICK_S", 0.001)
    monkeypatch.setattr(tracking, "LINE_EVERY_S", 0.0)
    make_run(tmp_path, make_metrics())
    assert abruptlab("figure", "22", tmp_path, "--matrices", "8") == (0, "")
    assert " of 3" in capsys.readouterr().err
