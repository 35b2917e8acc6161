import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from abruptlab.paper import FIGURES, Findings, make_figure
from abruptlab.report.pictures import Picture, picture
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from abruptlab.training.state import initial_model
from tests.synthetic import CONFIG, make_metrics, make_run


def test_a_picture_is_small_and_its_data_are_those_of_the_figure(tmp_path: Path) -> None:
    found = Findings(make_run(tmp_path, make_metrics()))
    png, _, npz, _ = make_figure("2", found, "by hand")
    small = picture("2", found)
    assert isinstance(small, Picture)
    assert len(small.webp) < 0.7 * len(png.read_bytes())
    original, shown = (Image.open(file).convert("RGB") for file in (png, io.BytesIO(small.webp)))
    assert ImageChops.difference(original, shown).getbbox() is None
    assert small.size == original.size
    whole, single = (np.load(io.BytesIO(content), allow_pickle=False) for content in (npz.read_bytes(), small.npz))
    assert set(whole) == set(single)
    for name in whole:
        assert single[name].dtype != np.float64
        np.testing.assert_allclose(single[name], whole[name], rtol=1e-6)


@pytest.mark.usefixtures("coarse_pictures")
def test_a_picture_without_its_data_is_made_again(tmp_path: Path) -> None:
    found = Findings(make_run(tmp_path, make_metrics()))
    data = make_figure("2", found, "by hand")[2]
    data.unlink()
    assert isinstance(picture("2", found), Picture)
    assert data.exists()


@pytest.mark.usefixtures("coarse_pictures")
@pytest.mark.parametrize(("file", "content"), [(0, b"no PNG"), (0, None), (2, b"no NPZ"), (2, None)])
def test_a_damaged_picture_is_made_again(file: int, content: bytes | None, tmp_path: Path) -> None:
    found = Findings(make_run(tmp_path, make_metrics()))
    path = make_figure("2", found, "by hand")[file]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert isinstance(picture("2", found), Picture)
    assert path.read_bytes() == whole


def test_a_picture_of_other_weights_or_older_code_is_not_the_run_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs without losses, as imported ones are, of one configuration."""
    origins = []
    for name, seed in (("a", 0), ("b", 1), ("c", 0)):
        (tmp_path / name).mkdir()
        model = initial_model(replace(CONFIG, seed=seed))
        found = Findings(make_run(tmp_path / name, make_metrics(steps=0), {0: model}))
        origins.append(found.origin(FIGURES["4"].measure))
    assert origins[0] == origins[2] != origins[1]
    monkeypatch.setattr("abruptlab.paper.findings.code", lambda: "other")
    assert Findings(Run(tmp_path / "a")).origin(FIGURES["4"].measure) != origins[0]


def test_why_there_is_no_picture(tmp_path: Path) -> None:
    found = Findings(make_run(tmp_path, make_metrics(), checkpoints=()))
    assert "no checkpoint" in str(picture("4", found))


@pytest.mark.usefixtures("coarse_pictures")
def test_the_command_beside_a_picture_makes_it_again(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics())
    for found, command in (
        (Findings(run), f"abruptlab figure 2 {run.folder}"),
        (Findings(run, tmp_path / "else"), f"abruptlab figure 2 {run.folder} --out {tmp_path / 'else'}"),
        (Findings(pretrained_run("pocket"), tmp_path / "p"), f"abruptlab figure 2 pocket --out {tmp_path / 'p'}"),
    ):
        assert isinstance(picture("2", found), Picture)
        assert json.loads((found.folder / "figures" / "figure_2.json").read_text())["command"] == command
