"""The credentials of a bot that the tests of its tokens show."""

from shared.auth.tokens import AppType, BotCredential

APP_ID = "11111111-0000-4000-8000-000000000001"
TENANT_ID = "22222222-0000-4000-8000-000000000002"
RESOURCE = "https://api.botframework.com"


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
