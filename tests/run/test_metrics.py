"""The metrics file, read at once and line by line."""

import json

from hypothesis import given, strategies as st

from abruptlab.run.metrics import parse_rows

ROWS = [json.dumps({"step": step, "loss": 0.5, "norm": 2}) for step in range(3)]
BROKEN = [
    '{"step": 0, "loss": 0.5',
    '"norm": 2}',
    '{"step": 0, "lo},{ss": 1}',
    '{"step": 0, "lo}',
    '{ss": 1}',
    '{"step": 1, "loss": 1}, {"step": 2, "loss": 1}',
    '{"step": 0, "loss": null}',
    '{"step": 0, "loss": NaN}',
    '{"step": 0, "loss": {"step": 1}}',
    '{"step": 0, "loss": "1"}',
    '{"step": 0.0, "loss": 1}',
    '{"step": false, "loss": 1}',
    '{"step": 0}',
    "[1]",
    "1",
    "",
]


@given(st.lists(st.sampled_from(ROWS + BROKEN), max_size=4), st.sampled_from(["", '{"st']), st.integers(0, 1))
def test_all_lines_at_once_are_what_each_line_is_alone(lines: list[str], half: str, first: int) -> None:
    data = ("".join(f"{line}\n" for line in lines) + half).encode()
    found = parse_rows(data, ["loss"], first)
    rows, damage = [], ""
    for step, line in enumerate(lines, first):
        alone = parse_rows(f"{line}\n".encode(), ["loss"], step)
        rows += alone.rows
        if damage := alone.damage:
            break
    assert repr(found.rows) == repr(rows)  # in which NaN equals NaN
    assert (found.damage, found.data) == (damage, data)
    assert found.size(len(rows)) == sum(len(line) + 1 for line in lines[: len(rows)])
