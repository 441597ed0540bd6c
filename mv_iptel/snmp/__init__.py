"""SNMP: the question that shows which phone stands behind an address (DESIGN section 8)."""

from __future__ import annotations

from mv_iptel.snmp.asker import Asker
from mv_iptel.snmp.families import Shown, Silence, Terms

__all__ = ["Asker", "Shown", "Silence", "Terms"]
