"""The code in README.md and docs/ runs as tests: the ``>>>`` lines of a page are one session, from top to bottom.

pytest's own ``--doctest-glob`` would take the fence that closes a block for output of the line above it.
"""

import doctest
import re

import pytest


def pytest_collect_file(file_path, parent):
    """Collect Markdown."""
    return Page.from_parent(parent, path=file_path) if file_path.suffix == ".md" else None


class Page(pytest.File):
    """A page of Markdown; its code, if any, is one test."""

    def collect(self):
        if ">>>" in self.path.read_text(encoding="utf-8"):
            yield Session.from_parent(self, name="code")


class Session(pytest.Item):
    """The code of a page."""

    def runtest(self):
        # A fence becomes an empty line, so that lines keep their numbers.
        text = re.sub("^ *```.*", "", self.path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        session = doctest.DocTestParser().get_doctest(text, {}, self.path.name, str(self.path), 0)
        flags = sum(doctest.OPTIONFLAGS_BY_NAME[name] for name in self.config.getini("doctest_optionflags"))
        report: list[str] = []
        if doctest.DocTestRunner(optionflags=flags).run(session, out=report.append).failed:
            pytest.fail("".join(report), pytrace=False)

    def reportinfo(self):
        return self.path, None, self.nodeid
