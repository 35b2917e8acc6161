"""What is published: a wheel and a source distribution that a fresh environment can use, with nothing beside it."""

import os
import shutil
import subprocess
import sys
import tarfile
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


def interpreter(version: str) -> str:
    """A Python of this version: this one, one on the PATH that starts (pyenv's shims do not always), or pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in (sys.executable, shutil.which(f"python{version}"), *pyenv.glob(f"{version}.*/bin/python")):
        said = subprocess.run([found, "-V"], capture_output=True, text=True, check=False).stdout if found else ""
        if said.startswith(f"Python {version}."):
            return str(found)
    pytest.skip(f"no python{version} here")


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever installs takes the PyTorch of constraints.txt, and the newest of everything else."""
    [torch] = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")]
    (tmp_path / "torch.txt").write_text(torch)
    for variable in ("PIP_CONSTRAINT", "UV_CONSTRAINT"):
        monkeypatch.setenv(variable, str(tmp_path / "torch.txt"))
    if "PIP_FIND_LINKS" in os.environ:  # uv reads none of pip's settings
        monkeypatch.setenv("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"].replace(" ", ","))


def require_small(*resolve: str | Path, cwd: Path) -> None:
    """Skips the test if there is no wheel of PyTorch, or if it comes with CUDA: the command says what it would take."""
    asked = subprocess.run([str(word) for word in resolve], cwd=cwd, capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip("no wheel of PyTorch for this Python here")
    if "nvidia" in asked.stdout:
        pytest.skip("the PyTorch of this Python comes with CUDA here: gigabytes")


def require_small_for(python: str | Path, cwd: Path) -> None:
    ask = ("install", "--dry-run", "--ignore-installed", "--only-binary", "torch", "torch")
    require_small(python, "-m", "pip", *ask, cwd=cwd)


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_a_fresh_environment_without_extras(dist: Path, tmp_path: Path, version: str) -> None:
    run(interpreter(version), "-m", "venv", "venv", cwd=tmp_path)
    binaries = tmp_path / "venv" / "bin"
    require_small_for(binaries / "python", tmp_path)
    run(binaries / "pip", "install", "--quiet", next(dist.glob("*.whl")), cwd=tmp_path)
    abruptlab = binaries / "abruptlab"
    assert "onset 4048" in run(abruptlab, "show", "laptop", cwd=tmp_path)
    run(abruptlab, "train", "smoke", "--out", "first", cwd=tmp_path)
    run(abruptlab, "figure", "2", "first", cwd=tmp_path)
    (tmp_path / "sales.csv").write_text((ROOT / "docs" / "sales.csv").read_text())
    run(abruptlab, "complete", "sales.csv", cwd=tmp_path)
    said = run(abruptlab, "export", "laptop", "--out", "bert", cwd=tmp_path, status=1)
    assert said.strip() == "abruptlab: this needs transformers: pip install abruptlab[huggingface]"


def program(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"no {name} here")


@pytest.mark.usefixtures("pinned")
def test_pipx(dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipx, wheel = program("pipx"), next(dist.glob("*.whl"))
    require_small_for(sys.executable, tmp_path)
    monkeypatch.setenv("PIPX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPX_BIN_DIR", str(tmp_path / "bin"))
    monkeypatch.setenv("PIPX_DEFAULT_PYTHON", sys.executable)
    monkeypatch.setenv("PIPX_DEFAULT_BACKEND", "pip")  # else uv, where it is installed: the next test's
    assert "onset 4048" in run(pipx, "run", "--spec", wheel, "abruptlab", "show", "laptop", cwd=tmp_path)
    run(pipx, "install", wheel, cwd=tmp_path)
    assert "onset 4048" in run(tmp_path / "bin" / "abruptlab", "show", "laptop", cwd=tmp_path)


@pytest.mark.usefixtures("pinned")
def test_uvx(dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uvx, wheel = program("uvx"), next(dist.glob("*.whl"))
    monkeypatch.setenv("UV_PYTHON", sys.executable)
    (tmp_path / "wanted.in").write_text("torch")
    require_small(program("uv"), "pip", "compile", "--only-binary", "torch", "wanted.in", cwd=tmp_path)
    assert "onset 4048" in run(uvx, "--from", wheel, "abruptlab", "show", "laptop", cwd=tmp_path)
