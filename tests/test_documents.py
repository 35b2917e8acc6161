"""What README.md and docs/ tell a reader to type works: commands and Python, page by page, in an empty folder."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml

from abruptlab.config import RunConfig
from abruptlab.paper.ledger import ledger
from abruptlab.sweep.file import SweepConfig
from scripts.keep import SWEEPS
from scripts.pages.reference import names_by_module
from tests.cli.test_cli import abruptlab

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LONG = (
    "abruptlab reproduce",
    *(f"abruptlab train {preset}" for preset in ("laptop", "paper", "base", "gpt")),
    *("abruptlab sweep width.toml", "abruptlab sweep smoke --jobs"),
    *(f"abruptlab sweep {name}" for name in SWEEPS),
    *("abruptlab report laptop", "abruptlab import"),
)
FILE = re.compile(r"# ((?:src|tests)/\S+\.py)\n")  # at the head of a block that is a file of the repository
TOML = re.compile(r"# (\S+\.toml)\n")  # at that of one that is a file of the reader's
# what is not ours, needs a network, or has a test of its own
KNOWN = ("git", "cd", "pip", "pipx", "uvx", "ray", "pkill", "hf", "sbatch")
LEFT_BEHIND = (*(f"runs/sweeps/{name}" for name in SWEEPS), "runs/window-sum-seed0", "runs/theirs")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    return [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]


def written(page: Path) -> dict[str, str]:
    """The files that a page tells to write in the repository."""
    return {match[1]: block[match.end() :] for block in blocks(page, "python") if (match := FILE.match(block))}


def repository(page: Path, folder: Path) -> Path:
    """The repository; for a page that tells to write files in it, a copy in `folder` that has them."""
    if not written(page):
        return ROOT
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name)  # with the bytecode, which knows an unchanged file by its date
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, content in written(page).items():
        (folder / name).write_text(content)
    for block in blocks(page, "diff"):
        subprocess.run(["git", "apply", "-"], cwd=folder, input=block, text=True, check=True)
    return folder


@contextlib.contextmanager
def only_parsed() -> Iterator[None]:
    """Commands are parsed to the end, and not carried out: `--help` would let anything pass."""
    parse = tyro.cli

    def parsed(kind: Any, *, prog: str, **given: Any) -> Any:
        found = parse(kind, prog=prog, **given)
        return found if " " in prog else lambda: None  # that of a subcommand is a part of the parsing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tyro, "cli", parsed)
        yield


def test_what_is_only_parsed_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with only_parsed():
        assert abruptlab("sweep", "variants", "--jobs", "2") == (0, "")
        for words in (
            ["sweep", "variants", "--nonsense", "3"],
            ["sweep", "variants", "--jobs", "x"],
            ["import", "--siz"],
        ):
            assert abruptlab(*words)[0] == 2, words
    assert not list(tmp_path.iterdir())


def check(command: str, folder: Path) -> None:
    """Run a command of a page; what would take minutes is only parsed, what sets the project up only looked up.

    `abruptlab` runs in this process, which has PyTorch already.
    """
    program, *words = shlex.split(command, comments=True)
    long = command.startswith(LONG) or command.endswith(LEFT_BEHIND) or "--ray" in words
    if program == "torchrun":  # what each of its processes is to do
        program, words, long = "abruptlab", words[words.index("abruptlab") + 1 :], True
    if program == "make":
        run = ["make", "--dry-run", *words]
        folder = ROOT
    elif program == "scripts/paper_scale.sh" or "=" in program:
        run = ["bash", "-n", str(ROOT / "scripts" / "paper_scale.sh")]
    elif program == "abruptlab":
        where = ROOT if words[0] == "paper" else folder  # the former reads the repository's results
        with contextlib.chdir(where), only_parsed() if long else contextlib.nullcontext():
            assert abruptlab(*words) == (0, ""), command
        return
    else:
        assert program in KNOWN, f"a command that no test knows: {command}"
        return
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


IN_ONE_PROCESS = """
import contextlib, shlex, sys
import pytest
from abruptlab.cli import main
folder, *commands = sys.argv[1:]
for command in commands:
    print(command, flush=True)
    program, *words = shlex.split(command)
    if program == "pytest":
        assert pytest.main(words) == 0
    else:
        assert program == "abruptlab"
        with contextlib.chdir(folder):
            main(words)
"""


def check_changed(lines: list[str], folder: Path, root: Path) -> None:
    """Run the commands of a page that changes the code in a process that has it so; one is enough for all of them."""
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, str(folder), *lines],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.timeout(900)  # a minute on an idle machine, several on a busy one
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abruptlab.complete.methods.HELD_OUT", 0.0)  # one part of a table is enough here
    for example in page.parent.glob("*.csv"):
        shutil.copy(example, tmp_path)
    for block in blocks(page, "toml"):
        if named := TOML.match(block):
            (tmp_path / named[1]).write_text(block)
    root = repository(page, tmp_path / "repository")
    if root != ROOT:
        check_changed(commands(page), tmp_path, root)
        return
    for command in commands(page):
        check(command, tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=lambda page: page.name)
def test_toml(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        (tmp_path / "file.toml").write_text(block)
        if "base" in tomllib.loads(block):
            assert SweepConfig.read(tmp_path / "file.toml").points()
        else:
            assert RunConfig.read(tmp_path / "file.toml")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_python(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = "\n".join(block for block in blocks(page, "python") if not FILE.match(block))
    script = script.replace('"matrices": 64', '"matrices": 8')  # as the notebooks are run
    exec(compile(script, str(page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#:]+)[)#]", prose)
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if written(page)], ids=lambda page: page.name)
def test_the_files_of_a_page_are_in_the_style_of_the_project(page: Path, tmp_path: Path) -> None:
    root = repository(page, tmp_path)
    for rule in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *rule, *written(page)]
        done = subprocess.run(ruff, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_site_is_built_without_a_warning_and_needs_no_network(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text() for path in (tmp_path / "site").glob("*.html")}
    assert {"index.html", *(page.with_suffix(".html").name for page in PAGES[1:])} <= pages.keys()
    fetched = re.compile(
        r"<(?:script|img|iframe)[^>]*src=\"?https?:|<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*https?:"
    )
    assert not [name for name, page in pages.items() if fetched.search(page)]
    figures = pages["figures.html"]
    assert all(f'id="{entry.name.replace(" ", "-")}"' in figures for entry in ledger(ROOT / "results") if entry.command)
    assert all(
        f"abruptlab.{module}.{name}" in pages["reference.html"]
        for module, names in names_by_module().items()
        for name in names
    )


def test_the_page_on_citing_says_what_citation_cff_says() -> None:
    software = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    [paper] = software["references"]
    page = (ROOT / "docs" / "cite.md").read_text()
    authors = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"])
    for said in (software["title"], software["version"], software["license"], paper["title"], str(paper["year"])):
        assert f"{{{said}}}" in page
    assert f"{{{authors}}}" in page
    assert paper["identifiers"][0]["value"] in page
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == software["version"]


def test_the_readme_has_its_commands() -> None:
    assert {"make reproduce", "make test"} <= set(commands(ROOT / "README.md"))
