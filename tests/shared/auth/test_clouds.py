"""A bot of one cloud trusts, and shows its token to, that cloud alone."""

from collections.abc import Iterator

import pytest

from shared.errors import BotCredentialError, UnauthorizedCallerError, UntrustedServiceUrlError
from shared.settings import Settings
from shared.wiring import Services
from tests.support.hostile_tokens import Forger
from tests.support.identity import StubIdentity
from tests.support.openid import StubOpenId

APP_ID = "11111111-0000-4000-8000-000000000001"
TENANT_ID = "22222222-0000-4000-8000-000000000002"

ISSUERS = {
    "Public": "https://api.botframework.com",
    "USGov": "https://api.botframework.us",
    "China": "https://api.botframework.azure.cn",
}
METADATA = {
    "Public": "https://login.botframework.com/v1/.well-known/openidconfiguration",
    "USGov": "https://login.botframework.azure.us/v1/.well-known/openidconfiguration",
    "China": "https://login.botframework.azure.cn/v1/.well-known/openidconfiguration",
}
LOGINS = {
    "Public": "https://login.microsoftonline.com",
    "USGov": "https://login.microsoftonline.us",
    "China": "https://login.partner.microsoftonline.cn",
}
SERVICE_URLS = {
    "Public": "https://smba.trafficmanager.net/teams/",
    "USGov": "https://smba.infra.gov.teams.microsoft.us/teams",
    "China": "https://webchat.botframework.azure.cn/",
}


@pytest.fixture(scope="module")
def openid() -> Iterator[StubOpenId]:
    with StubOpenId() as openid:
        yield openid


def settings(cloud: str, **changes: str) -> Settings:
    return Settings.from_environment(
        {
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
            "MicrosoftAppId": APP_ID,
            "BotCloud": cloud,
            **changes,
        }
    )


def services_of(cloud: str, openid: StubOpenId) -> Services:
    """A bot of this cloud, whose signing keys all clouds happen to have."""
    return Services.of(settings(cloud, ToBotFromChannelOpenIdMetadataUrl=openid.metadata_url))


def test_a_cloud_has_its_own_login_scope_issuer_and_metadata():
    for cloud in ISSUERS:
        of_cloud = settings(
            cloud,
            MicrosoftAppType="SingleTenant",
            MicrosoftAppTenantId=TENANT_ID,
            MicrosoftAppPassword="invented-password",
        )

        credential = of_cloud.credential
        assert credential is not None
        assert credential.login_url == LOGINS[cloud]
        assert credential.scope == f"{ISSUERS[cloud]}/.default"
        assert of_cloud.token_issuer == ISSUERS[cloud]
        assert of_cloud.openid_metadata_url == METADATA[cloud]


def test_issuer_and_metadata_can_be_given_with_the_names_of_the_bot_framework():
    given = settings(
        "USGov",
        ToBotFromChannelTokenIssuer="https://issuer.example/",
        ToBotFromChannelOpenIdMetadataUrl="https://login.example/.well-known/openidconfiguration",
    )

    assert given.token_issuer == "https://issuer.example/"
    assert given.openid_metadata_url == "https://login.example/.well-known/openidconfiguration"


def test_the_connector_of_the_bots_own_cloud_may_call_and_no_other(openid: StubOpenId):
    for home in ISSUERS:
        callers = services_of(home, openid).callers
        forger = Forger(openid.signers[0], APP_ID, SERVICE_URLS[home])
        for other in ISSUERS:
            authorization = f"Bearer {forger.sign(iss=ISSUERS[other])}"
            if other == home:
                caller = callers.identify(authorization)
                caller.require(service_url=SERVICE_URLS[home], channel_id="msteams")
            else:
                with pytest.raises(UnauthorizedCallerError):
                    callers.identify(authorization)


@pytest.mark.parametrize("cloud", ISSUERS)
def test_a_managed_identity_asks_for_a_token_of_its_cloud_and_only_to_call_there(
    cloud: str, identity: StubIdentity, monkeypatch: pytest.MonkeyPatch
):
    for name, value in identity.environment.items():
        monkeypatch.setenv(name, value)
    identity.answer(400, {"message": "No managed identity is assigned."}, times=9)
    connector = Services.of(settings(cloud)).connector

    for other in ISSUERS.keys() - {cloud}:
        with pytest.raises(UntrustedServiceUrlError):
            connector.at(SERVICE_URLS[other])
    assert identity.requests == []
    # It gets no token, and so it calls nobody.
    with pytest.raises(BotCredentialError):
        connector.at(SERVICE_URLS[cloud]).have_token()
    assert {request.query["resource"] for request in identity.requests} == {ISSUERS[cloud]}
