"""A branch joins: its invitation is used up, it gets a token and a certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mv_iptel import __version__
from mv_iptel.central import authority
from mv_iptel.central.refusing import bad
from mv_iptel.central.tokens import Branches
from mv_iptel.events import Event, Notice

if TYPE_CHECKING:
    from mv_iptel.config import Config


class Enrolling:
    """Takes branches in. Works on the disk: for a thread."""

    def __init__(self, config: Config, branches: Branches, publish: Callable[[Event], None]):
        self.config, self._branches, self._publish = config, branches, publish

    def join(self, told: dict[str, Any], address: str) -> dict[str, Any] | str:
        """What the branch is given, or why its invitation is none. Raises No for a request that is none."""
        token, server = told.get("token"), told.get("server", "")
        if not isinstance(token, str) or not isinstance(server, str):
            raise bad("token and server are texts")
        try:
            request = authority.read_request(told.get("csr"))
        except ValueError as error:
            raise bad(str(error)) from None
        key = authority.key_of(request)
        invitation = self._branches.invited(token, key)
        if isinstance(invitation, str):
            return invitation
        config = self.config
        known = authority.known_by(config)
        certificate = authority.sign(config.home, request, invitation.name)
        given = self._branches.join(
            invitation,
            key,
            authority.fingerprint(certificate),
            "".join(filter(str.isprintable, server))[:100],
        )
        if given is None:
            return "this invitation was used meanwhile"
        text = f"{invitation.name} has joined as a branch of this server"
        self._publish(Notice("central-joined", text, "info", peer=address))
        return {
            "name": invitation.name, "token": given, "certificate": authority.pem(certificate),
            "authority": authority.pem(known), "server": config.settings.server_name, "version": __version__,
        }  # fmt: skip
