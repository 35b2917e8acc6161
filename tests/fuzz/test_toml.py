"""Changed configuration files: read as what they say, and as nothing else, or refused in a line."""

from pathlib import Path

from abruptlab.config import RunConfig
from abruptlab.errors import ConfigError
from abruptlab.presets import PRESETS
from abruptlab.sweep.file import SweepConfig
from abruptlab.training.needs import training_needs
from tests.fuzz.outcome import counted
from tests.fuzz.toml import SWEEP, changed

COUNT = counted("FUZZ_TOML", 300)


def clear(error: ConfigError, path: Path, text: str) -> None:
    """It is a line that names the file."""
    said = str(error)
    assert "\n" not in said, text
    assert str(path) in said, text


def test_changed_configurations(tmp_path: Path) -> None:
    texts = [config.to_toml() for _, config in PRESETS.values()]
    path, read = tmp_path / "mine.toml", 0
    for seed in range(COUNT):
        text = changed(texts[seed % len(texts)], seed)
        path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
        try:
            config = RunConfig.read(path)
        except ConfigError as error:
            clear(error, path, text)
            continue
        read += 1
        assert RunConfig.from_toml(config.to_toml()) == config, (seed, text)
        assert training_needs(config, 1) > 0, (seed, text)
    assert COUNT // 20 < read < COUNT  # else the changes are too coarse, or too fine


def test_changed_sweeps(tmp_path: Path) -> None:
    path, read = tmp_path / "mine.toml", 0
    for seed in range(COUNT):
        text = changed(SWEEP, seed)
        path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
        try:
            points = SweepConfig.read(path).points(tmp_path)
        except ConfigError as error:
            clear(error, path, text)
            continue
        read += 1
        assert len({(point.family, point.key) for point in points}) == len(points) > 0, (seed, text)
    assert COUNT // 20 < read < COUNT
