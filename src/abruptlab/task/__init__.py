"""What a run is trained on. A task is one file, and a line here."""

from abruptlab.task.base import Task
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.window_sum import WindowSum

TASKS: dict[str, type[Task]] = {
    "matrix": MatrixTask,
    "window-sum": WindowSum,
}
