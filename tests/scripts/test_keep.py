"""What is kept of a sweep, and where."""

from pathlib import Path

import pytest

from scripts.keep import main


def test_sweeps_go_where_the_plan_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = tmp_path / "runs/sweeps/causal"
    (sweep / "figures").mkdir(parents=True)
    (sweep / "0123" / "checkpoints").mkdir(parents=True)
    (sweep / "figures/figure_13.png").write_bytes(b"new")
    (sweep / "claims.json").write_text("[]")
    kept = tmp_path / "results/loss-plateau/causal"
    (kept / "figures").mkdir(parents=True)
    (kept / "figures/figure_13.png").write_bytes(b"old")

    main(["causal"])
    assert sorted(path.name for path in kept.iterdir()) == ["claims.json", "figures"]
    assert (kept / "figures/figure_13.png").read_bytes() == b"new"

    with pytest.raises(SystemExit, match="announce"):
        main(["causal", "announce"])
    assert not (kept.parent / "announce").exists()
