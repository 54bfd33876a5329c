"""The token endpoint of Microsoft Entra, played over HTTPS on loopback."""

import itertools

from tests.support.certificates import Certificates
from tests.support.stub_server import Answer, Predicate, ReceivedRequest, StubServer, any_request

LIFETIME_SECONDS = 60 * 60


def is_token_request(request: ReceivedRequest) -> bool:
    """Whether the request asks for a token, and not where to ask for one."""
    return request.method == "POST"


class StubLogin(StubServer):
    """Gives tokens to all callers; what they showed is in the requests' forms."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self._numbers = itertools.count(1)
        super().__init__(certificates.server_context())

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make `requests` trust this server."""
        return {"REQUESTS_CA_BUNDLE": str(self.certificates.authority_file)}

    def fail(
        self, error: str, description: str, *, times: float = 1, when: Predicate = any_request
    ) -> None:
        """Refuse the next `times` token requests as Microsoft Entra does."""
        self.answer(
            401,
            {"error": error, "error_description": description},
            times=times,
            when=lambda request: is_token_request(request) and when(request),
        )

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Say where tokens are had, or give a new one; the first is `login-token-1`."""
        tenant, _, rest = request.path.lstrip("/").partition("/")
        match request.method, rest:
            case "GET", "v2.0/.well-known/openid-configuration":
                return Answer(200, self._configuration(tenant))
            case "POST", "oauth2/v2.0/token":
                return Answer(
                    200,
                    {
                        "access_token": f"login-token-{next(self._numbers)}",
                        "expires_in": LIFETIME_SECONDS,
                        "token_type": "Bearer",
                    },
                )
        return Answer(404, {"error": "not_found"})

    def _configuration(self, tenant: str) -> dict[str, str]:
        return {
            "authorization_endpoint": f"{self.url}/{tenant}/oauth2/v2.0/authorize",
            "issuer": f"{self.url}/{tenant}/v2.0",
            "token_endpoint": f"{self.url}/{tenant}/oauth2/v2.0/token",
        }
