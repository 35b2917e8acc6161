"""The table of verdicts in the documents is that of results/."""

from pathlib import Path

import pytest

from abruptlab.errors import RunError
from scripts.verdicts import END, START, main, written

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_verdicts_of_the_results(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "claims.md").read_text()
    assert written(ROOT / "results") in text
    (page := tmp_path / "claims.md").write_text(f"before\n{START}\nold\n{END}\nafter\n")
    main(ROOT / "results", page)
    assert page.read_text() == f"before\n{written(ROOT / 'results')}\nafter\n"


@pytest.mark.parametrize("missing", [START, END])
def test_a_page_without_its_place_stays_as_it_is(missing: str, tmp_path: Path) -> None:
    text = f"before\n{START}\nold\n{END}\nafter\n".replace(missing, "")
    (page := tmp_path / "claims.md").write_text(text)
    with pytest.raises(RunError, match="between which the table goes"):
        main(ROOT / "results", page)
    assert page.read_text() == text


def test_no_folder_empties_no_table(tmp_path: Path) -> None:
    text = f"before\n{START}\nold\n{END}\nafter\n"
    (page := tmp_path / "claims.md").write_text(text)
    with pytest.raises(RunError, match="nowhere: expected a folder of results"):
        main(tmp_path / "nowhere", page)
    assert page.read_text() == text
