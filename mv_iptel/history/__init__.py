"""What scripts and settings files were before: a copy of each at every change seen, whoever edited it."""

from __future__ import annotations

from mv_iptel.history.keeper import History

__all__ = ["History"]
