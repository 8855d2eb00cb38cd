"""Threads for the tasks of a fit, and one of BLAS's while small matrices are factorised: more wait for each other.

``with one_blas_thread:`` may be entered by many threads at once: the first in sets the limit, the last out restores it.
`threadpoolctl.threadpool_limits` alone would restore in the wrong order and leave the process at one thread.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

__all__ = ["crew", "in_threads", "one_blas_thread"]

_WORTH_THREADS = 2e8  # multiplications; below, starting threads costs more than they bring

_DEAF = 0.2  # seconds for which a wait may not hear of Ctrl-C


class _OneBlasThread:
    def __init__(self):
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)  # a child must not inherit a lock that is held

    def _reset(self):
        self._lock, self._depth, self._controller, self._limiter = threading.Lock(), 0, None, None

    def __enter__(self):
        with self._lock:
            if self._depth == 0:
                self._controller = self._controller or ThreadpoolController()  # scanning the libraries takes 3 ms, once
                self._limiter = self._controller.limit(limits=1, user_api="blas")
                self._limiter.__enter__()
            self._depth += 1

    def __exit__(self, *error):
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                for library in self._controller.lib_controllers:
                    # threadpoolctl 3.8 lets only the thread that set a limit lift it; ours may have left first.
                    if hasattr(library, "clear_controlling_thread"):
                        library.clear_controlling_thread(force=True)
                self._limiter.__exit__(*error)


one_blas_thread = _OneBlasThread()


def in_threads(fill, costs, n_jobs):
    """Call ``fill(first, last)`` for ranges of all tasks, in threads if the work (multiplications) is worth it."""
    jobs = effective_n_jobs(n_jobs) if costs.sum() > _WORTH_THREADS else 1
    if jobs == 1:
        fill(0, len(costs))
        return
    work = np.cumsum(costs)
    cuts = np.searchsorted(work, np.linspace(0, work[-1], 4 * jobs + 1)[1:-1])
    ranges = [(a, b) for a, b in zip([0, *cuts], [*cuts, len(costs)], strict=True) if a < b]
    with one_blas_thread, crew(jobs) as each:  # joblib's Parallel looks every 10 ms whether its threads have ended
        each(lambda some: fill(*some), ranges)


@contextmanager
def crew(n_jobs):
    """A function ``each(call, parts)`` that calls ``call(part)`` for every part, `n_jobs` at a time.

    The threads live as long as the context, so that iterations need not start their own.
    """
    if (jobs := effective_n_jobs(n_jobs)) == 1:
        yield lambda call, parts: [call(part) for part in parts]
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield lambda call, parts: _map(pool, call, parts) if len(parts) > 1 else [call(part) for part in parts]


def _map(pool, call, parts):
    """What `pool.map` gives, a list; that is a generator, which makes another error of a StopIteration."""
    calls = [pool.submit(call, part) for part in parts]
    try:
        return [_result(each) for each in calls]
    finally:
        for each in calls:
            each.cancel()


def _result(call):
    """What a call returns.

    A wait without end would not hear of Ctrl-C where that does not wake threads that wait: on Windows, and wherever a
    library, such as polars, has the system go on with what a signal interrupts.
    """
    while True:
        try:
            call.exception(timeout=_DEAF)
        except TimeoutError:  # of this wait: one of the call is returned here, and raised below
            continue
        return call.result()
