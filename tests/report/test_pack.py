import base64
import json
import zlib

import numpy as np

from abruptlab.report.pack import packed_maps, rounded


def test_numbers_are_rounded_and_become_json() -> None:
    values = np.array([[0.123456, -1234.56], [np.nan, np.inf]])
    assert rounded(values) == [[0.1235, -1235.0], [None, None]]
    assert json.loads(json.dumps(rounded(values), allow_nan=False)) == rounded(values)
    assert rounded(np.array([3, 4])) == [3, 4]
    assert rounded(np.array(0.5)) == 0.5


def test_shares_come_back_within_a_twentieth() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(49), (2, 3))
    packed = packed_maps(shares)
    levels = np.frombuffer(zlib.decompress(base64.b64decode(packed["bytes"])), np.uint8)
    back = (levels / 255.0) ** 2
    assert packed["shape"] == [2, 3, 49]
    large = shares.flatten() > 0.01
    np.testing.assert_allclose(back[large], shares.flatten()[large], rtol=0.05)
    assert np.abs(back - shares.flatten()).max() < 0.004
    assert packed_maps(np.array([0.0, 1.0]))["bytes"] == packed_maps(np.array([-1e-9, 1 + 1e-9]))["bytes"]


def test_linear_attention_keeps_its_sign_and_its_scale() -> None:
    maps = np.array([[-3.0, 0.0], [0.03, 1.5]])
    packed = packed_maps(maps, signed=True)
    levels = np.frombuffer(zlib.decompress(base64.b64decode(packed["bytes"])), np.uint8).astype(float)
    part = (levels - packed["zero"]) / (255 - packed["zero"])
    np.testing.assert_allclose(packed["scale"] * part * np.abs(part), maps.flatten(), rtol=0.1)
