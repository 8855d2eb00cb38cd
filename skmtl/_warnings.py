"""Warnings that point to the user's own line, however deep inside the library they arise."""

import os
import sys
import warnings

__all__ = ["warn"]

_HERE = os.path.dirname(__file__) + os.sep


def warn(message, category):
    """As `warnings.warn`, pointing to the line outside of this library that led here.

    A fixed ``stacklevel`` would not do, for the number of calls in between varies.  From Python 3.12 on, the argument
    ``skip_file_prefixes`` of `warnings.warn` does the same.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
