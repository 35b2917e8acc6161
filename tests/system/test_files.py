import os
from pathlib import Path

import pytest

from abruptlab.system.files import write_atomically


def test_two_that_write_one_file_do_not_take_each_other_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "file", list[bytes]()
    sync = os.fsync

    def meanwhile(file: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        write_atomically(path, b"the other's")
        seen.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_atomically(path, b"mine")
    assert (seen, path.read_bytes()) == ([b"the other's"], b"mine")
    assert [*tmp_path.iterdir()] == [path]
