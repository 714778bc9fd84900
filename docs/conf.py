"""How Sphinx builds the site: ``python -m sphinx -b html docs OUT`` (see README.md).

All that is generated on the way goes to docs/generated, which git ignores.
"""

import shutil
import sys
from pathlib import Path

import skbp

HERE = Path(__file__).parent
sys.path.append(str(HERE / "_ext"))

project = "skbp"
author = "The skbp developers"
copyright = "The skbp developers"
version = release = skbp.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "api_pages",
]
exclude_patterns = ["generated/examples"]
default_role = "py:obj"  # `Adam` in a docstring is a link
add_module_names = False
autodoc_typehints = "none"  # types stand in the docstrings
numpydoc_show_class_members = False  # api_pages chooses them
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "generated/examples",
    "gallery_dirs": "generated/gallery",
    "filename_pattern": r"/plot_",  # other examples are shown, not run
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "skbp"
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app):
    """Copy the examples: run there, they leave their files in docs/generated."""
    copy = HERE / "generated" / "examples"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(HERE.parent / "examples", copy)
