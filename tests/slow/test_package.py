"""What is published: a wheel and a source distribution that a fresh environment can use, with nothing beside it."""

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, status: int = 0) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


def test_twine_has_nothing_to_say(dist: Path) -> None:
    assert run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir(), cwd=dist).count("PASSED") == 2


def test_what_is_in_them(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    there = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {name.removeprefix("src/") for name in there.splitlines()} <= names
    assert {"abruptlab/py.typed", "abruptlab/weights/laptop/config.toml"} <= names
    with tarfile.open(next(dist.glob("*.tar.gz"))) as source:
        assert {name.split("/")[1] for name in source.getnames()} >= {"src", "LICENSE", "CHANGELOG.md", "CITATION.cff"}
    assert all(path.stat().st_size < 25 * 10**6 for path in dist.iterdir())  # the weights of base are 15 of them


def test_a_fresh_environment_without_extras(dist: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", next(dist.glob("*.whl")), cwd=tmp_path)
    abruptlab = binaries / "abruptlab"
    assert "onset 4048" in run(abruptlab, "show", "laptop", cwd=tmp_path)
    run(abruptlab, "train", "smoke", "--out", "first", cwd=tmp_path)
    run(abruptlab, "figure", "2", "first", cwd=tmp_path)
    (tmp_path / "sales.csv").write_text((ROOT / "docs" / "sales.csv").read_text())
    run(abruptlab, "complete", "sales.csv", cwd=tmp_path)
    said = run(abruptlab, "export", "laptop", "--out", "bert", cwd=tmp_path, status=1)
    assert said.strip() == "abruptlab: this needs transformers: pip install abruptlab[huggingface]"
