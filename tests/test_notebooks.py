"""The notebooks of docs/notebooks/ run from top to bottom, on smaller settings than a reader's.

All in one kernel, which takes seconds to import PyTorch; each begins without a name of the one before.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
SMALLER = {
    'preset("pocket")': 'preset("smoke")',
    "matrices=64": "matrices=4",
    "batch=128": "batch=8",
    'abruptlab.preset("window-sum")': 'replace(abruptlab.preset("window-sum"), task=WindowSum(length=4, modulus=5))',
    "steps=220": "batch=8, steps=40",
    "import abruptlab\n": "import abruptlab\nfrom abruptlab.task.window_sum import WindowSum\n",
}
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelManager]:
    manager = KernelManager()
    path = f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    manager.start_kernel(env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"})
    yield manager
    manager.shutdown_kernel(now=True)
    manager.context.destroy()


def executed(kernel: KernelManager, path: Path, folder: Path) -> list[dict]:
    """The outputs of all cells; the first one, which installs the package, is left out."""
    book = nbformat.read(path, as_version=4)
    first, *others = [cell for cell in book.cells if cell.cell_type == "code"]
    assert first.source.startswith("%pip install --quiet abruptlab ")
    first.source = f"%reset -f\n%cd -q {folder}"
    for cell in others:
        for old, new in SMALLER.items():
            cell.source = cell.source.replace(old, new)
    book.cells = [first, *others]
    client = NotebookClient(book, km=kernel, timeout=240)
    try:
        client.execute()
    finally:
        assert client.kc is not None
        client.kc.stop_channels()
    return [output for cell in others for output in cell.outputs]


def shown(outputs: list[dict], kind: str) -> list[str]:
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


def test_which_there_are() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["complete-a-table", "look-inside", "see-a-drop", "the-loss-plateau"]


def test_a_training_shows_itself(kernel: KernelManager, tmp_path: Path) -> None:
    outputs = executed(kernel, ROOT / "docs/notebooks/see-a-drop.ipynb", tmp_path)
    live, *_ = [html for html in shown(outputs, "text/html") if "<progress" in html]
    assert 'value="60" max="60"' in live
    assert live.count("<polyline") == 3
    assert any("runs/pocket" in html and "60 of 60 steps" in html for html in shown(outputs, "text/html"))
    assert len(shown(outputs, "image/png")) == 3


def test_looking_inside(kernel: KernelManager, tmp_path: Path) -> None:
    outputs = executed(kernel, ROOT / "docs/notebooks/look-inside.ipynb", tmp_path)
    assert len(shown(outputs, "image/png")) == 3
    [attention] = [text for text in shown(outputs, "text/plain") if text.startswith("Attention\n")]
    assert "[4, 16, 49, 49]" in attention
    assert "untouched" in "".join(output.get("text", "") for output in outputs)


def test_completing_a_table(kernel: KernelManager, tmp_path: Path) -> None:
    outputs = executed(kernel, ROOT / "docs/notebooks/complete-a-table.ipynb", tmp_path)
    assert "0.120" in shown(outputs, "text/html")[1]  # 1.2 · 0.1, which was hidden


def test_the_loss_plateau(kernel: KernelManager, tmp_path: Path) -> None:
    outputs = executed(kernel, ROOT / "docs/notebooks/the-loss-plateau.ipynb", tmp_path)
    printed = "".join(output.get("text", "") for output in outputs)
    assert re.search(r"^\d( \d){3} \| \d( \d){3}$", printed, re.M)
    assert len(re.findall(r"^final( +\d){4}\ntrue( +\d){4}$", printed, re.M)) == 2
    assert len(shown(outputs, "image/png")) == 2
