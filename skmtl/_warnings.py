"""Warnings that point to the line of the user, by whatever way it has led to them."""

import os
import sys
import warnings

__all__ = ["warn"]

_HERE = os.path.dirname(__file__) + os.sep


def warn(message, category):
    """As `warnings.warn`, of the line outside of this library that called it: counted levels differ from way to way.

    From Python 3.12 on that is its ``skip_file_prefixes``.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
