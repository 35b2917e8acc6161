"""What README.md and docs/ tell a reader to type works: commands and Python, page by page, in an empty folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from abruptlab.sweeps import SweepConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LONG = (
    "abruptlab reproduce",
    *(f"abruptlab train {preset}" for preset in ("laptop", "paper", "base", "gpt")),
    *("abruptlab sweep width.toml", "abruptlab sweep smoke --jobs"),
    *("abruptlab sweep variants", "abruptlab sweep components"),
)
LEFT_BEHIND = ("runs/sweeps/variants", "runs/sweeps/components")  # what the last two would have left


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    return [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]


def check(command: str, folder: Path) -> None:
    """Run a command of a page; what would take minutes is only parsed, what sets the project up only looked up."""
    program, *words = shlex.split(command, comments=True)
    long = command.startswith(LONG) or command.endswith(LEFT_BEHIND) or "--ray" in words
    if program == "torchrun":  # what each of its processes is to do
        program, words, long = "abruptlab", words[words.index("abruptlab") + 1 :], True
    if program == "make":
        run = ["make", "--dry-run", *words]
        folder = ROOT
    elif program == "scripts/paper_scale.sh" or "=" in program:
        run = ["bash", "-n", str(ROOT / "scripts" / "paper_scale.sh")]
    elif program == "python":
        run = [sys.executable, *words, "--help"]
        folder = ROOT
    elif program == "abruptlab":
        run = [sys.executable, "-m", "abruptlab", *words, *(["--help"] if long else [])]
    else:
        assert program in ("git", "cd", "pip", "ray", "pkill"), f"a command that no test knows: {command}"
        return
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.timeout(900)  # a minute on an idle machine, several on a busy one
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands(page: Path, tmp_path: Path) -> None:
    for example in page.parent.glob("*.csv"):
        shutil.copy(example, tmp_path)
    for command in commands(page):
        check(command, tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=lambda page: page.name)
def test_sweeps(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        (tmp_path / "sweep.toml").write_text(block)
        assert SweepConfig.read(tmp_path / "sweep.toml").points()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_python(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = "\n".join(blocks(page, "python"))
    exec(compile(script, str(page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_readme_has_its_commands() -> None:
    assert {"make reproduce", "make test"} <= set(commands(ROOT / "README.md"))
