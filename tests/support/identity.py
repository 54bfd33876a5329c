"""The managed identity endpoint of App Service and Azure Functions, played on loopback."""

import itertools
import time

from tests.support.stub_server import Answer, ReceivedRequest, StubServer


class StubIdentity(StubServer):
    """Gives tokens to callers that show the secret of the environment."""

    secret = "identity-header-secret"
    # Makes tokens longer.
    padding = ""
    lifetime_seconds = 24 * 60 * 60

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        super().__init__()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the platform points the app to this endpoint."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": self.secret}

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """A new token for the resource; the first one is `identity-token-1`."""
        query = request.query
        if request.headers["X-IDENTITY-HEADER"] != self.secret:
            return Answer(401, {"statusCode": 401, "message": "The header is not the secret."})
        if query.get("api-version") != "2019-08-01" or "resource" not in query:
            return Answer(400, {"statusCode": 400, "message": "api-version or resource is wrong."})
        return Answer(
            200,
            {
                "access_token": f"identity-token-{next(self._numbers)}{self.padding}",
                "client_id": query.get("client_id", ""),
                "expires_on": str(int(time.time()) + self.lifetime_seconds),
                "resource": query["resource"],
                "token_type": "Bearer",
            },
        )
