"""What generators and loaders share: docstrings with common parts, and packages that only some need."""

import importlib
import inspect
import textwrap

__all__ = ["fill_in", "require"]


def fill_in(function, sections):
    """Put the texts of ``sections`` in place of their marks in the docstring, less the indents it has before 3.13."""
    if function.__doc__:  # None under python -OO
        doc = inspect.cleandoc(function.__doc__)
        for mark, text in sections.items():
            doc = doc.replace(mark, textwrap.dedent("    " + text))
        function.__doc__ = doc
    return function


def require(package, user):
    """Import an optional ``package`` when ``user`` first needs it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{user} needs the package {package}: pip install skmtl[examples]") from error
