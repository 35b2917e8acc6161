"""Command lines that make sense, and nonsense made of them by one change.

Whether a line makes sense is known by how it was made, so that an exit with 0 can be judged.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from abruptlab.presets import preset
from abruptlab.training.loop import train

TABLE = "x,a,b,c\np,1,2,3\nq,2,,6\nr,3,6,9\n"
HUGE = "10000000000000"
LONG = 300 * "x"


@dataclass(frozen=True)
class Line:
    """A command line, and whether it can be meant."""

    words: tuple[str, ...]
    sense: bool


def furnish(folder: Path) -> None:
    """What the lines look at, in the folder that they start from."""
    train(preset("smoke"), folder / "run", device="cpu")
    (folder / "table.csv").write_text(TABLE)
    (folder / "bad.toml").write_text("[task]\nrnak = 2\n")
    (folder / "notes").mkdir()
    (folder / "notes" / "thesis.tex").write_text("mine")


# of each command: words without which it makes no sense, options with values that make sense and values that do not
INTEGER = ("x", "1.5", "1e3", "", "nan", "-1")
COUNT = (*INTEGER, "0")
REAL = ("x", "", "1,5", "nan", "inf", "-1", "0")
OUT = (LONG, "table.csv/sub")
TRAIN = {
    "--steps": (("1", "2", "3"), COUNT),
    "--seed": (("0", "7", "123456789012"), ("x", "", "-1", "9223372036854775808")),
    "--batch": (("1", "4", "8"), (*COUNT, HUGE)),
    "--rank": (("1",), (*COUNT, "99")),
    "--width": (("8", "16"), (*COUNT, "7", HUGE)),
    "--layers": (("1", "2"), (*COUNT, HUGE)),
    "--learning-rate": (("1e-3", "0.01"), REAL),
    "--limit": (("2", "4.5"), (*REAL, "1e9")),
    "--optimizer": (("adam", "adamw", "sgd", "muon"), ("adan", "", "Adam")),
    "--schedule": (("constant", "cosine"), ("linear", "")),
    "--momentum": (("0", "0.5"), ("x", "1", "nan", "-0.1")),
    "--mask-probability": (("0.2", "0.9"), ("x", "1.5", "nan", "-0.1")),
    "--precision": (("fp32", "bf16"), ("fp16", "32")),
    "--micro-batch": (("1", "None"), ("0", "5000", "x")),
    "--checkpoint-every": (("1", "100"), COUNT),
    "--name": (("mine", "a-b"), ("a/b", "", "a b", "..")),
    "--device": (("cpu",), ("tpu", "", "cuda:99")),
    "--step": ((), ("3", "final-ish")),
    "--trained": ((), ("mlp", "brains")),
    "--start": ((), ("x",)),
    "--out": ((), OUT),
    "--config": ((), ("nosuch.toml", "bad.toml", "notes", LONG)),
}
LOOK = {"--seed": (("0", "5"), INTEGER), "--matrices": (("2", "8"), (*COUNT, "1", HUGE))}
STEP = {"--step": (("0", "16", "final", "start"), ("17", "nosuch", "", "-1"))}
COMMANDS: dict[str, tuple[tuple[str, ...], dict[str, tuple[tuple[str, ...], tuple[str, ...]]]]] = {
    "train": (("smoke", "--out", "new", "--steps", "2"), TRAIN),
    "presets": ((), {}),
    "paper": ((), {"--results": ((), ("nowhere", LONG))}),
    "show": (("run",), {}),
    "watch": (("run",), {}),
    "figure": (("2", "run", "--out", "new"), {"--seed": ((), ("5", "x")), "--matrices": ((), ("4", "x"))}),
    "table": (("1", "run", "--out", "new"), {**LOOK, **STEP}),
    "ablate": (("run",), {**LOOK, **STEP, "--heads": (("1.1", "1.2"), ("0.1", "1.3", "2.1", "1", "x", "1.1.1", "-1.1")),
                          "--with": (("zero", "mean", "uniform"), ("nothing", ""))}),
    "patch": (("run", "--layer", "1"), {**LOOK, **STEP, "--heads": (("1", "2"), ("0", "3", "x", "1.1")),
                                         "--positions": (("1", "9"), ("0", "10", "x", "-1"))}),
    "switch": (("run", "--groups", "mlp", "--source", "16"), {**LOOK,
                                            "--into": (("32", "final"), ("33", "nosuch"))}),
    "complete": (("table.csv", "--out", "new.csv"), {"--method": (("nuclear", "means"), ("magic", "")),
                                                     "--rank": ((), ("0", "x", "99", "1.5")),
                                                     "--picture": (("new.png", "new.pdf"), ("new.txt", "x")),
                                                     "--header": (("yes", "recognise"), ("maybe",)),
                                                     "--index": (("1", "yes"), ("9", "-1", "maybe")),
                                                     "--scale": (("columns", "none"), ("rows",)),
                                                     "--round": (("0", "2"), ("x", "1.5")),
                                                     "--max": (("9",), ("x", "nan")),
                                                     "--separator": ((",",), ("", ",,", LONG)),
                                                     "--encoding": (("latin-1",), ("klingon", "")),
                                                     "--sheet": ((), ("1", ""))}),
    "sweep": ((), {"--jobs": ((), ("1", "0"))}),
    "reproduce": ((), {"--only": ((), ("laptop",))}),
}  # fmt: skip
ALONE = ("presets", "paper", "reproduce")  # those that need no word beside them
NEVER = ("sweep", "reproduce", "table", "paper")  # sense takes long of them, or is none on this run: only nonsense


def sensible(random_: random.Random) -> list[str]:
    """A line that makes sense."""
    command = random_.choice([name for name in COMMANDS if name not in NEVER])
    return _with_options(command, random_)


def _with_options(command: str, random_: random.Random) -> list[str]:
    needed, options = COMMANDS[command]
    words = list(needed)
    for name in random_.sample(sorted(options), min(len(options), random_.choice([0, 0, 1, 1, 2, 3]))):
        good, _ = options[name]
        if good and name not in words:
            value = random_.choice(good)
            words += random_.choice([[name, value], [f"{name}={value}"]])
    if command == "train" and random_.random() < 0.5:  # the preset's name may stand anywhere a flag may
        words = [*words[1:], "smoke"]
    return [command, *words]


def _unknown_flag(words: list[str], random_: random.Random) -> list[str]:
    flag = random_.choice(["--bogus", "--", "---", "--steps-", "-x", "--h", "--STEPS", "--out.x"])
    return [*words, *random_.choice([[flag], [flag, "3"], [f"{flag}=3"]])] if flag != "--" else [*words, "--bogus"]


def _shortened_flag(words: list[str], random_: random.Random) -> list[str] | None:
    flags = [at for at, word in enumerate(words) if word.startswith("--") and len(word.partition("=")[0]) > 5]
    if not flags:
        return None
    at = random_.choice(flags)
    name, equals, value = words[at].partition("=")
    known = {flag for _, options in COMMANDS.values() for flag in options} | {"--step", "--run", "--mask"}
    return None if name[:-1] in known else [*words[:at], name[:-1] + equals + value, *words[at + 1 :]]


def _extra_word(words: list[str], random_: random.Random) -> list[str] | None:
    """Where a flag that takes many words stands before it, it would be one of them."""
    many = ("--heads", "--positions", "--groups", "--only", "--trained")
    if any(word.startswith(many) for word in words):
        return None
    return [words[0], random_.choice(["extra", "", "3", "smoke"]), *words[1:], "more"]


def _missing_word(words: list[str], random_: random.Random) -> list[str] | None:
    return None if words[0] in ALONE else [words[0]]


def _flag_twice(words: list[str], random_: random.Random) -> list[str] | None:
    flags = [at for at, word in enumerate(words) if word.startswith("--")]
    if not flags:
        return None
    at = random_.choice(flags)
    again = [words[at]] if "=" in words[at] else words[at : at + 2]
    return [*words, *again]


def _no_value(words: list[str], random_: random.Random) -> list[str]:
    options = sorted(set(COMMANDS[words[0]][1]) - {word.partition("=")[0] for word in words})
    many = ("--heads", "--positions", "--groups", "--only", "--trained")
    options = [name for name in options if name not in many]
    return [*words, random_.choice(options)] if options else [*words, "--bogus"]


def _bad_value(words: list[str], random_: random.Random) -> list[str] | None:
    options = {name: bad for name, (_, bad) in COMMANDS[words[0]][1].items() if bad}
    options = {name: bad for name, bad in options.items() if not any(word.startswith(name) for word in words)}
    if not options:
        return None
    name = random_.choice(sorted(options))
    value = random_.choice(options[name])
    return [*words, *random_.choice([[name, value], [f"{name}={value}"]])]


def _wrong_subject(words: list[str], random_: random.Random) -> list[str] | None:
    """Another run, preset, figure or file than there is; `watch` would wait for it."""
    if words[0] in (*ALONE, "sweep", "watch"):
        return None
    names = ["nosuch", "", "notes", "run2", LONG, "latop", "..", "a\udce9b"]
    at = words.index("smoke") if words[0] == "train" else 1
    return [*words[:at], random_.choice(names), *words[at + 1 :]]


def _no_command(words: list[str], random_: random.Random) -> list[str]:
    return random_.choice([[], [words[0] + "s!"], ["", *words], [words[0].upper(), *words[1:]], ["--version", *words]])


CHANGES: list[Callable[[list[str], random.Random], list[str] | None]] = [
    _unknown_flag, _shortened_flag, _extra_word, _missing_word, _flag_twice, _no_value, _bad_value, _bad_value,
    _bad_value, _wrong_subject, _no_command,
]  # fmt: skip


def line(seed: int) -> Line:
    """The line of a seed: a third make sense, as they are; two thirds are nonsense."""
    random_ = random.Random(seed)
    if random_.random() < 1 / 3:
        return Line(tuple(sensible(random_)), True)
    while True:
        words = _with_options(random_.choice(sorted(COMMANDS)), random_)
        changed = random_.choice(CHANGES)(words, random_)
        if changed is not None:
            return Line(tuple(changed), False)
