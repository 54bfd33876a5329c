"""Throw-away certificates for servers on loopback."""

import ssl
from pathlib import Path

import trustme


class Certificates:
    """A certificate for 127.0.0.1, and the authority that vouches for it."""

    def __init__(self, folder: Path) -> None:
        self.authority_file = folder / "authority.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority_file))
        self._certificate = authority.issue_cert("127.0.0.1", "localhost")

    def server_context(self) -> ssl.SSLContext:
        """What a server on 127.0.0.1 needs to speak TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.configure_cert(context)
        return context
