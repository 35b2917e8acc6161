"""What came of a claim, on one run or over several seeds."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

from abruptlab.arguments import validator
from abruptlab.errors import RunError
from abruptlab.system.files import write_atomically
from abruptlab.task.base import STRICT


@dataclass(frozen=True)
class Verdict:
    """A claim judged on runs of one configuration, or on the seeds of one sweep.

    With one entry a seed: the claim's number (None: that run cannot say), whether it is within the bound, and the
    number of each null.
    """

    __pydantic_config__: ClassVar = STRICT

    id: str
    claim: str
    source: str
    figures: tuple[str, ...]
    tables: tuple[str, ...]
    quantity: str
    bound: str
    seeds: tuple[int, ...]
    numbers: tuple[float | None, ...]  # to six digits
    within: tuple[bool | None, ...]
    nulls: dict[str, tuple[float | None, ...]]
    passing: tuple[str, ...] = ()  # nulls within the bound at some seed
    notes: tuple[str, ...] = ()  # why a seed cannot say

    @property
    def judged(self) -> int:
        """The number of seeds that can say."""
        return sum(each is not None for each in self.within)

    @property
    def held(self) -> int:
        """The number of seeds at which it holds."""
        return sum(each is True for each in self.within)

    @property
    def outcome(self) -> str:
        """holds or fails where all seeds agree, undecided where they do not; not judged; or null passes."""
        if not self.judged:
            return "not judged"
        if self.passing:
            return "null passes"
        return "holds" if self.held == self.judged else "undecided" if self.held else "fails"

    @property
    def said(self) -> str:
        """The outcome with its counts, and a caveat where no null has a number."""
        if not self.judged:
            return self.outcome
        if self.outcome == "undecided":
            return f"undecided ({self.held} of {self.judged} seeds hold){self.caveat}"
        return f"{self.outcome} ({self.judged} seed{'s' * (self.judged > 1)}){self.caveat}"

    @property
    def has_null(self) -> bool:
        """Whether a null has a number."""
        return any(number is not None for numbers in self.nulls.values() for number in numbers)

    @property
    def caveat(self) -> str:
        """What has to be said of a claim that holds at some seed with nothing that would not have; else empty."""
        return ", no null known" if self.held and not self.has_null else ""

    @property
    def place(self) -> str:
        """Where the claim is from, in words."""
        named = [f"figure {figure}" for figure in self.figures] + [f"table {table}" for table in self.tables]
        source = {"caption": "", "text": "text", "code": "public code", "ours": "ours"}.get(self.source, self.source)
        return ", ".join([*([source] if source else []), *named])

    @property
    def number(self) -> str:
        """The number of every seed that can say."""
        return spread(self.numbers)

    @property
    def null(self) -> str:
        """The number of every null."""
        return "; ".join(f"{name} {spread(numbers)}" for name, numbers in self.nulls.items())


def spread(numbers: Sequence[float | None]) -> str:
    """One number, or the median of several and in brackets the smallest and the largest; – for none."""
    known = sorted(number for number in numbers if number is not None)
    if not known:
        return "–"
    if len(known) == 1:
        return f"{known[0]:.3g}"
    return f"{median(known):.3g} ({known[0]:.3g} to {known[-1]:.3g})"


def together(of_runs: Sequence[Sequence[Verdict]]) -> list[Verdict]:
    """The verdicts on the same claims on several runs as one list."""
    return [_join(verdicts) for verdicts in zip(*of_runs, strict=True)]


def _join(verdicts: Sequence[Verdict]) -> Verdict:
    def every(field: str) -> tuple[Any, ...]:
        return tuple(each for verdict in verdicts for each in getattr(verdict, field))

    names = dict.fromkeys(name for verdict in verdicts for name in verdict.nulls)
    return replace(
        verdicts[0],
        **{field: every(field) for field in ("seeds", "numbers", "within")},
        nulls={name: tuple(n for verdict in verdicts for n in verdict.nulls.get(name, (None,))) for name in names},
        passing=tuple(dict.fromkeys(every("passing"))),
        notes=tuple(dict.fromkeys(every("notes"))),
    )


def counted(verdicts: Sequence[Verdict]) -> str:
    """How many claims were judged and what came of them, so that a reader can allow for many looks."""
    count = Counter(verdict.outcome for verdict in verdicts)
    judged = len(verdicts) - count["not judged"]
    words = {"holds": "hold", "fails": "fail", "undecided": "are undecided", "null passes": "pass on their null too"}
    parts = [f"{count[name]} {word}" for name, word in words.items() if count[name] or name in ("holds", "fails")]
    rest = f"; {count['not judged']} cannot be judged" if count["not judged"] else ""
    return f"of {judged} claims judged {', '.join(parts)}{rest}"


def write_verdicts(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write verdicts as JSON. Raises `OSError` if they cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n")


def read_verdicts(home: Path) -> list[Verdict]:
    """The verdicts in the `claims.json` of a folder; none if there is no such file.

    Raises `RunError` if it cannot be read.
    """
    path = home / "claims.json"
    try:
        return [validator(Verdict).validate_python(table) for table in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"cannot read the verdicts in {path}: {' '.join(str(error).split())[:100]}") from None
