"""Moments: all that a squared loss needs to know of a task, and how to add, subtract and factorise it.

For task t with rows x_i, labels y_i, weights s_i and N_t = sum_i s_i, centred when there is an intercept:

    G_t  = sum_i s_i (x_i - x_mean) (x_i - x_mean)'          (d, d)
    q_t  = sum_i s_i (x_i - x_mean) (y_i - y_mean)           (d,)
    yy_t = sum_i s_i (y_i - y_mean)^2

so that ``sum_i s_i (y_i - x_i w - b)^2 = yy - 2 q'w + w'G w`` at the best b, and its gradient ``2 (G w - q)`` touches
no row. A task with fewer rows than features keeps its centred rows A instead (G = A'A), and tasks that share their rows
share one G.  The modules::

    _task_moments   `TaskMoments` and their algebra
    _from_data      rows -> moments
    _sums           the sums over rows, jitted where tasks are small
    _factor         a `Factor` of many Gram matrices
    _rows           the rows that are kept, dense or sparse
    _incomplete     moments of tasks that share rows but for some labels
"""

from skmtl.moments._factor import Factor
from skmtl.moments._rows import Rows, SparseRows
from skmtl.moments._task_moments import TaskMoments

__all__ = ["Factor", "Rows", "SparseRows", "TaskMoments"]
