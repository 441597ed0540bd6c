"""The site's own authority and the certificates of its listeners: made, renewed, carried, looked at.

The authority's key stays in MV_Manager/ca; the server reads only its certificate, its key and the
authority's public certificate. Old sets need RSA keys, and some match the server's IP address against
the subject alternative names, so both DNS and IP names are always there.
"""

from __future__ import annotations

from mv_iptel.certs.carrying import export, import_files
from mv_iptel.certs.looking import BITS, check, check_authority, describe, details
from mv_iptel.certs.making import (
    AUTHORITY_DAYS,
    AUTHORITY_KEY_MODE,
    PUBLIC_NAME,
    RENEW_DAYS,
    SERVER_DAYS,
    make_authority,
    make_server,
    public_pem,
    renew,
)
from mv_iptel.certs.names import Names, given_names, host_names, is_dns_name, names_of
from mv_iptel.certs.reading import KEY_MODE, CertError, load_chain
from mv_iptel.certs.shape import EARLIER, Shape

__all__ = [
    "AUTHORITY_DAYS",
    "AUTHORITY_KEY_MODE",
    "BITS",
    "EARLIER",
    "KEY_MODE",
    "PUBLIC_NAME",
    "RENEW_DAYS",
    "SERVER_DAYS",
    "CertError",
    "Names",
    "Shape",
    "check",
    "check_authority",
    "describe",
    "details",
    "export",
    "given_names",
    "host_names",
    "import_files",
    "is_dns_name",
    "load_chain",
    "make_authority",
    "make_server",
    "names_of",
    "public_pem",
    "renew",
]
