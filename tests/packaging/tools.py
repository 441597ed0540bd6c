"""The scripts of packaging/ for tests: they lie in no package, as an installed server does not need them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = PROJECT / "packaging"


def tool(name: str) -> ModuleType:
    """packaging/NAME.py, imported as build.py imports it."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        found = importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))
    assert Path(found.__file__).parent == SCRIPTS, f"another module is called {name}: {found.__file__}"
    return found
