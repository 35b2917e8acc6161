"""What a run is trained on. A task is one file, and a line here."""

from abruptlab.task.addition import Addition
from abruptlab.task.base import Task
from abruptlab.task.concatenated import ConcatenatedWindows
from abruptlab.task.copying import Copy
from abruptlab.task.histogram import Histogram
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.permutation import Permutation
from abruptlab.task.repeat import Repeat
from abruptlab.task.window_sum import WindowSum

TASKS: dict[str, type[Task]] = {
    "addition": Addition,
    "concatenated-windows": ConcatenatedWindows,
    "copy": Copy,
    "histogram": Histogram,
    "matrix": MatrixTask,
    "permutation": Permutation,
    "repeat": Repeat,
    "window-sum": WindowSum,
}
