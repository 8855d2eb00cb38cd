"""How Sphinx builds the documentation: ``make docs``."""

import os
import re

from sphinx.addnodes import pending_xref

import skmtl

project = "skmtl"
author = "the skmtl developers"
copyright = f"2026, {author}"
version = release = skmtl.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
default_role = "py:obj"  # `name` in a docstring
exclude_patterns = ["_build", "gallery/*.ipynb"]
myst_heading_anchors = 3  # links to sections, as on GitHub
myst_enable_extensions = ["amsmath", "dollarmath"]

html_theme = "pydata_sphinx_theme"
html_title = "skmtl"
html_theme_options = {"show_toc_level": 2, "secondary_sidebar_items": ["page-toc"]}
html_static_path = ["_static"]
html_css_files = ["skmtl.css"]
html_show_sourcelink = False

# A module's page lists its ``__all__``; every name there gets a page of its own (_templates/autosummary).
autosummary_ignore_module_all = False
autosummary_imported_members = True
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
# An argument that is documented exists, and stands where the signature has it.
numpydoc_validation_checks = {"PR02", "PR03"}

needs_data = "" if "SKMTL_DATA" in os.environ else "(?!network_speakers|network_torques)"
sphinx_gallery_conf = {
    "filename_pattern": f"/plot_{needs_data}",  # the others are shown and not run
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "doc_module": "skmtl",
    "reference_url": {"skmtl": None},
    "backreferences_dir": "gallery/backreferences",
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}


def skip_what_is_not_ours(app, what, name, obj, skip, options):
    """Leave out what scikit-learn's classes define, such as ``get_params``: its manual has it, with its own links."""
    ours = getattr(obj, "__module__", None) or "skmtl"
    return skip or not ours.startswith("skmtl")


def show_formulas_as_they_stand(app, what, name, obj, options, lines):
    """Make the indented blocks of a module's docstring literal: they are formulas and tables in plain text."""
    if what == "module":
        lines[:] = re.sub(r"(?<!::)\n\n(?=    )", "\n\n.. code-block:: text\n\n", "\n".join(lines)).split("\n")


def find_classes_in_any_module(app, doctree):
    """Let `TaskGraph` in a docstring mean `skmtl.penalties.TaskGraph`, wherever it is said."""
    for reference in doctree.findall(pending_xref):
        if reference["refdomain"] == "py" and reference["reftarget"][:1].isupper():
            reference["refspecific"] = True


def setup(app):
    """Register the hooks, as Sphinx asks."""
    app.connect("autodoc-skip-member", skip_what_is_not_ours)
    app.connect("autodoc-process-docstring", show_formulas_as_they_stand)
    app.connect("doctree-read", find_classes_in_any_module)
