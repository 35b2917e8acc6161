"""Self-contained pages: what happened in a run, and many runs side by side."""

from abruptlab.report.build import build_report
from abruptlab.report.index import build_folder_index, build_index

__all__ = ["build_folder_index", "build_index", "build_report"]
