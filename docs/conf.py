"""Sphinx configuration: `make docs` builds the site and treats every warning as an error."""

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the examples' encoder is an installed package
os.environ.setdefault("TQDM_DISABLE", "1")  # no progress bars in the gallery

from docutils import nodes  # noqa: E402
from latex2mathml.converter import convert  # noqa: E402

from skcausalrm import __version__  # noqa: E402

project = "skcausalrm"
author = "The skcausalrm developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "**/GALLERY_HEADER.rst", "sg_execution_times.rst"]
templates_path = ["_templates"]
default_role = "py:obj"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # benchmark pages are written by scripts and included
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections hold the types
autodoc_default_options = {"members": True, "inherited-members": True}
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "auto_examples",
    # Examples that run in the build: the fast ones. The others are shown as source.
    "filename_pattern": r"/(from_log_to_reward)\.py$",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 0,
    "write_computation_times": False,
    "abort_on_example_error": True,
}

html_math_renderer = "mathml"  # drawn by the browser: pages read from disk load no script
html_theme = "pydata_sphinx_theme"
html_title = "skcausalrm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
toc_object_entries_show_parents = "hide"
html_copy_source = False
html_theme_options = {
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages without sections below them need no navigation of a section.
html_sidebars = {
    page: []
    for page in [
        "start",
        "command_line",
        "feedback_formats",
        "glossary",
        "architecture",
        "changelog",
    ]
}

warnings.filterwarnings("ignore", category=UserWarning, module="sphinx_gallery")


def _skip_foreign_members(app, what, name, obj, skip, options):
    """Leave out methods that scikit-learn adds to every estimator; its own pages hold them."""
    home = getattr(obj, "__module__", None) or ""
    foreign = callable(obj) and not home.startswith("skcausalrm")
    return True if foreign or name.startswith("set_") else None


def _link_bare_name(app, env, node, contnode):
    """Link `Name` in a docstring to the one documented object of that name in any folder."""
    if node.get("refdomain") != "py" or not node.get("reftarget"):
        return None
    domain = env.get_domain("py")
    ending = f".{node['reftarget']}"
    found = [name for name in domain.objects if name.count(".") == 2 and name.endswith(ending)]
    if not found:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, contnode)


def _inline_math(translator, node):
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _display_math(translator, node):
    equation = convert(node.astext(), display="block")
    translator.body.append(f'<div class="equation">{equation}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))
    app.connect("autodoc-skip-member", _skip_foreign_members)
    app.connect("missing-reference", _link_bare_name)
