"""`kernel`: the one decorator of jitted functions, with a compilation cache that cannot break a fit.

Kernels are module-level functions over float64, C-ordered arrays: inputs read-only, outputs and workspaces passed in
and filled.  A kernel calls kernels of its own file only, because the cache knows a change by the file it stands in.
"""

import gc
from functools import wraps

from numba import config, njit
from numba.core.caching import FunctionCache  # private: nothing public survives a damaged or unwritable cache

__all__ = ["kernel", "read_only"]


def kernel(function, **options):
    """Compile `function` at its first call, to run without the GIL; keep the machine code on disk if possible."""
    jitted = njit(nogil=True, error_model="numpy", **options)(function)
    if not config.DISABLE_JIT:
        jitted.compile = _uncollected(jitted.compile)
        try:
            jitted._cache = _SafeCache(function)
        except RuntimeError:  # no place to write to: compiled anew in every process
            pass
    return jitted


def _uncollected(compile_):
    """Keep the garbage collector off meanwhile: it would search a compiler's objects in vain, as all are in use."""

    @wraps(compile_)
    def compiled(*args):
        collects = gc.isenabled()
        gc.disable()
        try:
            return compile_(*args)
        finally:
            if collects:
                gc.enable()

    return compiled


def read_only(array):
    """A view that cannot be written, as all inputs of kernels are: one signature, and nobody's data at risk."""
    view = array.view()
    view.flags.writeable = False
    return view


class _SafeCache(FunctionCache):
    """A truncated file, a full disk or a lost permission costs a compilation, never a fit."""

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            self._ignore_errors(self.flush)  # forget the damaged entry, compile again
            return None

    def save_overload(self, sig, data):
        self._ignore_errors(super().save_overload, sig, data)

    def _ignore_errors(self, call, *args):
        try:
            call(*args)
        except Exception:
            self.disable()
