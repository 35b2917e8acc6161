"""Running a sweep: which runs are still to do, processes of one machine or of a cluster that do them, how far they are.

The run folders are the truth. Whoever trains a run writes only its folder, and whoever watches reads only folders, so
that anything may die at any moment.
"""

from abruptlab.sweep.drive import Workers, prepare, run_sweep
from abruptlab.sweep.state import RunState, seconds_left

__all__ = ["RunState", "Workers", "prepare", "run_sweep", "seconds_left"]
