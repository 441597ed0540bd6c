"""The decisions: may this client come in, which phone is it, what does the name stand for."""

from mv_iptel.library.answers import NOBODY, Client, Phone, Reason, Refuse, Request, Serve, Step
from mv_iptel.library.contents import Body
from mv_iptel.library.session import Library, Session

__all__ = [
    "NOBODY", "Body", "Client", "Library", "Phone", "Reason", "Refuse", "Request", "Serve", "Session", "Step",
]  # fmt: skip
