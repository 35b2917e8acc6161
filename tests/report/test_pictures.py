import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from abruptlab.paper import Findings, make_figure
from abruptlab.report.pictures import Picture, picture
from tests.synthetic import make_metrics, make_run


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


def test_a_picture_without_its_data_is_made_again(tmp_path: Path) -> None:
    found = Findings(make_run(tmp_path, make_metrics()))
    data = make_figure("2", found, "by hand")[2]
    data.unlink()
    assert isinstance(picture("2", found), Picture)
    assert data.exists()


def test_why_there_is_no_picture(tmp_path: Path) -> None:
    found = Findings(make_run(tmp_path, make_metrics(), checkpoints=()))
    assert "no checkpoint" in str(picture("4", found))
