"""Lint for the phones' scripts and settings: `lint(folder)` gives findings.

docs/lint.md describes each code.
"""

from mv_iptel.phones.lint.findings import CODES, Code, Finding
from mv_iptel.phones.lint.folder import Folder, Site
from mv_iptel.phones.lint.linting import lint

__all__ = ["CODES", "Code", "Finding", "Folder", "Site", "lint"]
