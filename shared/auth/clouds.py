"""What differs between the clouds that a bot can live in.

Hosts, issuers and scopes: "Authentication with the Bot Connector API" and "Configure bots for US
Government" in the Bot Service documentation; the proactive bases: "Send proactive messages" in the
Teams documentation.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cloud:
    """The addresses of one of Microsoft's clouds, and the hosts that its tokens may go to.

    ``trusted_domains`` are trusted with all their subdomains, ``trusted_hosts`` to the letter.
    ``teams_service_url`` is empty where no Teams is offered; ``community_service_url`` is that of
    the government community cloud, whose tenants the cloud's own service URL does not reach.
    """

    name: str
    login_url: str
    multi_tenant: str
    scope: str
    token_issuer: str
    openid_metadata_url: str
    teams_service_url: str
    trusted_domains: tuple[str, ...]
    trusted_hosts: tuple[str, ...]
    community_service_url: str = ""


PUBLIC = Cloud(
    name="Public",
    login_url="https://login.microsoftonline.com",
    multi_tenant="botframework.com",
    scope="https://api.botframework.com/.default",
    token_issuer="https://api.botframework.com",
    openid_metadata_url="https://login.botframework.com/v1/.well-known/openidconfiguration",
    teams_service_url="https://smba.trafficmanager.net/teams/",
    trusted_domains=("botframework.com",),
    # trafficmanager.net and teams.microsoft.com are shared namespaces: only these very hosts.
    trusted_hosts=("smba.trafficmanager.net", "smba.infra.gcc.teams.microsoft.com"),
    community_service_url="https://smba.infra.gcc.teams.microsoft.com/teams",
)

US_GOVERNMENT = Cloud(
    name="USGov",
    login_url="https://login.microsoftonline.us",
    multi_tenant="MicrosoftServices.onmicrosoft.us",
    scope="https://api.botframework.us/.default",
    token_issuer="https://api.botframework.us",
    openid_metadata_url="https://login.botframework.azure.us/v1/.well-known/openidconfiguration",
    teams_service_url="https://smba.infra.gov.teams.microsoft.us/teams",
    trusted_domains=("botframework.azure.us", "botframework.us"),
    trusted_hosts=("smba.infra.gov.teams.microsoft.us", "smba.infra.dod.teams.microsoft.us"),
)

CHINA = Cloud(
    name="China",
    login_url="https://login.partner.microsoftonline.cn",
    multi_tenant="microsoftservices.partner.onmschina.cn",
    scope="https://api.botframework.azure.cn/.default",
    token_issuer="https://api.botframework.azure.cn",
    openid_metadata_url="https://login.botframework.azure.cn/v1/.well-known/openidconfiguration",
    teams_service_url="",
    trusted_domains=("botframework.azure.cn",),
    trusted_hosts=(),
)

CLOUDS = {cloud.name: cloud for cloud in (PUBLIC, US_GOVERNMENT, CHINA)}
