"""The pages of the documents that are made when they are built."""

import json
from dataclasses import asdict
from pathlib import Path

import griffe

from abruptlab.paper import FIGURES, Verdict
from scripts.pages.figures import all_figures
from scripts.pages.reference import all_names

FIELDS = Path(__file__).parents[2] / "scripts" / "pages" / "fields.py"
MODULE = '''
from dataclasses import dataclass

@dataclass
class Result:
    """What was measured."""

    step: int
    share: Float[Array, "layer head"]  # of the attention
    kept: bool = True
    """Whether it
    was kept."""

    @property
    def last(self) -> int:
        """The last step."""

class Other:
    """No dataclass."""

    step: int  # of something else
'''


def write(home: Path, *verdicts: Verdict) -> None:
    (home / "figures").mkdir(parents=True)
    (home / "claims.json").write_text(json.dumps([asdict(verdict) for verdict in verdicts]))


def said(
    name: str,
    claim: str,
    figure: str,
    quantity: str,
    bound: str,
    numbers: tuple[float | None, ...],
    within: tuple[bool | None, ...],
) -> Verdict:
    """A verdict on a caption, with a null."""
    seeds = tuple(range(len(numbers)))
    nulls: dict[str, tuple[float | None, ...]] = {"untrained": (7.0,)}
    return Verdict(name, claim, "caption", (figure,), (), quantity, bound, seeds, numbers, within, nulls)


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title} {{")[2].partition("\n## ")[0]


def test_results_that_are_not_there_are_said_to_be_missing(tmp_path: Path) -> None:
    page = all_figures(tmp_path)
    drawn = [name for name, spec in FIGURES.items() if name[0].isdigit() or not spec.sweep]
    assert page.count("*Not drawn yet.*") == len(drawn)
    assert page.count("*Not made yet.*") == 1
    assert "`abruptlab figure answer-probes runs/window-sum-seed0`" in page  # a figure of sequences, of such a run
    assert "`abruptlab figure patching runs/base-seed0`" in page
    assert "../results" not in page


def test_a_figure_stands_beside_its_claims(tmp_path: Path) -> None:
    write(
        tmp_path / "laptop",
        said("a", "it falls", "2", "|x|: ratio", "at most 0.5", (0.12345,), (True,)),
        said("b", "it stays", "2", "y", "at most 1", (2.0, 0.5), (False, True)),
    )
    write(
        tmp_path / "base",
        said("c", "it turns", "patching", "z", "at least 1", (None,), (None,)),
        said("d", "it goes", "patching", "z", "at least 1", (3.0,), (True,)),
    )
    (tmp_path / "laptop" / "figures" / "figure_2.png").touch()
    page = all_figures(tmp_path)
    assert (
        "The losses over training<br>`abruptlab figure 2 laptop` | not run yet | not run yet | 2: 1 hold, 0 fail"
        in page
    )
    shown = section(page, "Figure 2")
    assert "](../results/laptop/figures/figure_2.png)" in shown
    assert r"| it falls (figure 2)<br>*\|x\|: ratio* | holds (1 seed) | 0.123 | at most 0.5 | untrained 7 |" in shown
    assert "| **undecided (1 of 2 seeds hold)** | 1.25 (0.5 to 2) | at most 1 | untrained 7 |" in shown
    other = section(page, "Figure 3")
    assert "../results" not in other
    assert "no claim" in other
    beside = page.partition("### Claims of the text")[2]
    assert "it goes" in beside
    assert "it turns" not in beside  # it could not be judged
    assert "it falls" not in beside


def test_results_follow_the_functions_that_measure_them() -> None:
    names = [line.removeprefix("::: abruptlab.") for line in all_names().splitlines() if line.startswith(":::")]
    measured = names.index("experiments.attention.measure_attention_over_time")
    assert names[measured + 1 : measured + 3] == [
        "experiments.attention.Attention",
        "experiments.attention.AttentionOverTime",
    ]
    assert names.count("experiments.variants.Variants") == 1  # the components have it too
    assert len(set(names)) == len(names)


def test_fields_are_a_table_with_what_is_said_beside_them(tmp_path: Path) -> None:
    (tmp_path / "measured.py").write_text(MODULE)
    module = griffe.load("measured", search_paths=[tmp_path], extensions=griffe.load_extensions(str(FIELDS)))
    result, other = module["Result"], module["Other"]
    assert list(result.attributes) == ["last"]
    assert list(other.attributes) == ["step"]
    [table] = [part for part in result.docstring.parse("google") if part.kind is griffe.DocstringSectionKind.attributes]
    assert [(field.name, str(field.annotation), field.description) for field in table.value] == [
        ("step", "int", ""),
        ("share", "Float[Array, 'layer head']", "of the attention"),
        ("kept", "bool", "Whether it was kept. Default: `True`."),
    ]
