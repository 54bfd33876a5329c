"""The credentials of a bot that the tests of its tokens show, and who takes them."""

import threading

from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from shared.auth.tokens import AppType, BotCredential
from tests.support.waiting import PATIENCE_SECONDS

APP_ID = "11111111-0000-4000-8000-000000000001"
TENANT_ID = "22222222-0000-4000-8000-000000000002"
RESOURCE = "https://api.botframework.com"
LIFETIME = 3600


def credential(app_type=AppType.USER_ASSIGNED_MSI, **changes):
    fields = {
        "app_type": app_type,
        "app_id": APP_ID,
        "tenant_id": TENANT_ID,
        "login_url": "https://login.microsoftonline.com",
        "scope": f"{RESOURCE}/.default",
        **changes,
    }
    return BotCredential(**fields)


class AzureCredential:
    """azure-identity's side: counts what it is asked, gives what it is told, waits at a gate."""

    def __init__(self, clock):
        self.asked = 0
        self.made = 0
        self.failures = 0
        self.error: Exception = ClientAuthenticationError("AADSTS7000215: invented")
        self.lifetime = LIFETIME
        self.clock = clock
        self.gate = threading.Event()
        self.gate.set()

    def make(self, _credential):
        self.made += 1
        return self

    def get_token(self, *_scopes, **_options):
        self.asked += 1
        assert self.gate.wait(PATIENCE_SECONDS)
        if self.failures:
            self.failures -= 1
            raise self.error
        return AccessToken(f"token-{self.asked}", int(self.clock()) + self.lifetime)
