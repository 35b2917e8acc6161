"""The figures on a page: pictures and data, small enough to be mailed."""

import hashlib
import io
import shlex
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from abruptlab.errors import AbruptlabError
from abruptlab.figures.save import is_made_from, packed
from abruptlab.paper import FIGURES, FigureSpec, Findings, make_figure
from abruptlab.run.pretrained import called

DAMAGED = (OSError, ValueError, SyntaxError, EOFError, BadZipFile, zlib.error)  # what reading such a PNG or NPZ raises


@dataclass(frozen=True)
class Picture:
    """A figure that a run can give."""

    spec: FigureSpec
    webp: bytes
    size: tuple[int, int]  # width and height in pixels, for which a page keeps room before the picture is there
    npz: bytes  # what is drawn

    @property
    def key(self) -> str:
        """A name for the data."""
        return hashlib.sha256(self.npz).hexdigest()[:12]


def picture(figure: str, findings: Findings) -> Picture | str:
    """A figure of the run, made first if it is missing, damaged or made from something else; or why there is none."""
    spec, path = FIGURES[figure], findings.folder / "figures" / f"figure_{figure}.png"
    if is_made_from(path, findings.origin(spec.measure)):
        with suppress(*DAMAGED):
            return _read(spec, path)
    try:
        out = [] if findings.folder == findings.subject.folder else ["--out", str(findings.folder)]
        command = ["abruptlab", "figure", figure, called(findings.subject.folder), *out]
        make_figure(figure, findings, shlex.join(command))
    except AbruptlabError as error:
        return str(error)
    return _read(spec, path)


def _read(spec: FigureSpec, path: Path) -> Picture:
    return Picture(spec, *small_picture(path), _small_data(path.with_suffix(".npz").read_bytes()))


def small_picture(path: Path) -> tuple[bytes, tuple[int, int]]:
    """A picture's file as lossless WebP, of half a PNG's size, which every browser shows; and its size in pixels."""
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(buffer, "WEBP", lossless=True)
    return buffer.getvalue(), picture.size


def _small_data(npz: bytes) -> bytes:
    """The arrays in single precision, which is that of the models."""
    arrays = np.load(io.BytesIO(npz), allow_pickle=False)
    single = {name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in arrays.items()}
    return packed(single)
