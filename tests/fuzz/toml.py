"""Configuration files and sweeps with something changed in them, as a slip of the hand or of a disk does it."""

import random

VALUES = (
    "0", "-1", "1", "3", "7", "1e400", "99999999999999999999999999", "-9223372036854775809", "inf", "-inf", "nan",
    "0.5", "1e-320", '""', '"x"', '"adam"', '"final"', '"a\\u0000b"', '"\\U0001F600"', "true", "false", "[]", "[[]]",
    "[1]", "[[3, 3]]", "[[0, 0]]", "[[3, 3, 3]]", "[[1e3, 2]]", "{}", "{ a = 1 }", "1979-05-27", "07:32:00",
    "[[2, 2], [30, 1]]", '["mlp"]', '["mlp", "mlp"]', "[1, 'a']", "0x10", "1_000", "'''", '"laptop"', '"decoder"',
)  # fmt: skip
SWEEP = """name = "mine"
base = "smoke"
seeds = [0, 1]
overrides.training.steps = 4
grid.training.batch = [2, 4]
[[variants]]
family = "width"
label = "8"
model = { width = 8, mlp_width = 8 }
[[variants]]
family = "width"
model.width = 16
"""


def changed(text: str, seed: int) -> str:
    """The text of a seed, with one to three changes."""
    random_ = random.Random(seed)
    for _ in range(random_.choice([1, 1, 1, 2, 3])):
        text = random_.choice([_value, _value, _value, _key, _twice, _gone, _cut, _flip, _moved])(text, random_)
    return text


def _line(lines: list[str], random_: random.Random) -> int:
    return random_.choice([at for at, line in enumerate(lines) if line.strip()] or [0])


def _value(text: str, random_: random.Random) -> str:
    lines = text.splitlines() or [""]
    settings = [at for at, line in enumerate(lines) if "=" in line] or [0]
    at = random_.choice(settings)
    lines[at] = f"{lines[at].partition('=')[0]}= {random_.choice(VALUES)}"
    return "\n".join(lines) + "\n"


def _key(text: str, random_: random.Random) -> str:
    lines = text.splitlines() or [""]
    at = _line(lines, random_)
    name, equals, rest = lines[at].partition("=")
    name = random_.choice([name[:-2] + " ", name + ".x ", "name ", "task ", "seed ", '"" ', "kept ", "-"])
    lines[at] = name + equals + rest
    return "\n".join(lines) + "\n"


def _twice(text: str, random_: random.Random) -> str:
    lines = text.splitlines() or [""]
    at = _line(lines, random_)
    return "\n".join([*lines[:at], lines[at], *lines[at:]]) + "\n"


def _gone(text: str, random_: random.Random) -> str:
    lines = text.splitlines() or [""]
    at = _line(lines, random_)
    return "\n".join([*lines[:at], *lines[at + 1 :]]) + "\n"


def _cut(text: str, random_: random.Random) -> str:
    return text[: random_.randrange(len(text) + 1)]


def _flip(text: str, random_: random.Random) -> str:
    if not text:
        return "\x00"
    at = random_.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ (1 << random_.randrange(8))) + text[at + 1 :]


def _moved(text: str, random_: random.Random) -> str:
    lines = text.splitlines() or [""]
    line = lines.pop(_line(lines, random_))
    at = random_.randrange(len(lines) + 1)
    return "\n".join([*lines[:at], line, *lines[at:]]) + "\n"
