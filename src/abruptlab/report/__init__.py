"""One self-contained page that tells what happened in a run."""

from abruptlab.report.build import build_report

__all__ = ["build_report"]
