"""The memory of the server: phones seen, who they said they were, what they fetched and were refused."""

from __future__ import annotations

from mv_iptel.inventory.reader import Reader
from mv_iptel.inventory.writer import Inventory

__all__ = ["Inventory", "Reader"]
