"""The app's settings: the one place that reads the environment."""

import base64
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shared.auth.clouds import CLOUDS, Cloud
from shared.auth.service_urls import Origin, TrustedServiceUrls, is_safe, origin_of, parse_origin
from shared.auth.tokens import AppType, BotCredential
from shared.connector.channel_features import TEAMS, channel
from shared.errors import InvalidSettingError, UntrustedServiceUrlError

STORAGE = "AzureWebJobsStorage"
"""The connection of tables and queues, named as the Functions host names it."""

SIGNING_SENDERS = ("generic", "github", "grafana")
"""Senders of webhooks whose requests can be signed."""

SENDERS = (
    *SIGNING_SENDERS,
    "alertmanager",
    "azure-devops",
    "azure-monitor",
    "cloudevents",
    "event-grid",
)
"""All senders of webhooks, by their names in the URL."""

_LEASE_MARGIN_SECONDS = 10.0
# They are ticked on one card, and each can be written in a command.
_MOST_TOPICS = 50
_LONGEST_TOPIC = 200


_AZURITE = (
    "AccountName=devstoreaccount1;"
    # Azurite's own key, the same on every machine and in Microsoft's documentation.
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1"
)


@dataclass(frozen=True)
class StorageAccount:
    """Where tables and queues are, and what proves us: a key, a signature (SAS) or an identity."""

    table_service_url: str
    queue_service_url: str
    name: str = ""
    key: str = field(default="", repr=False)
    shared_access_signature: str = field(default="", repr=False)
    client_id: str = ""
    managed_identity: bool = False

    @classmethod
    def from_connection_string(cls, text: str) -> "StorageAccount":
        """Return the account of a connection string; raise ValueError where it is none.

        Source: "Configure Azure Storage connection strings" of the Azure Storage documentation.
        """
        if text.lower().rstrip(";") == "usedevelopmentstorage=true":
            text = _AZURITE
        pairs = [part.partition("=")[::2] for part in text.split(";") if part.strip()]
        known = {name.strip().lower(): value.strip() for name, value in pairs}
        name, key = known.get("accountname", ""), known.get("accountkey", "")
        signature = known.get("sharedaccesssignature", "").lstrip("?")
        base64.b64decode(key, validate=True)
        scheme = known.get("defaultendpointsprotocol", "https")
        suffix = known.get("endpointsuffix", "core.windows.net")
        table_url, queue_url = (
            known.get(f"{service}endpoint") or (name and f"{scheme}://{name}.{service}.{suffix}")
            for service in ("table", "queue")
        )
        if not (table_url and queue_url) or not (signature or (name and key)):
            raise ValueError("no connection string of a storage account")
        return cls(table_url, queue_url, name, key, signature)


@dataclass(frozen=True)
class Settings:
    """Every setting, checked; docs/reference.md has a table of what each is for.

    ``credential`` is None only in development, where no token is asked for. ``webhook_secrets`` are
    by sender, each with the empty secret where it signs nothing; with no sender, all are served.
    Whether ``outcome_queue`` may be named so is known to those who know the app's own queues.
    """

    cloud: Cloud
    credential: BotCredential | None
    storage: StorageAccount
    trusted_service_urls: TrustedServiceUrls
    app_id: str
    tenant_id: str
    default_channel_id: str
    default_service_url: str
    default_locale: str
    token_issuer: str
    openid_metadata_url: str
    connector_timeout_seconds: float
    send_rate_per_second: float
    give_up_ambiguous: bool
    blocked_probe_days: float
    delivery_retention_days: float
    largest_activity_kilobytes: Mapping[str, int]
    webhook_secrets: Mapping[str, tuple[str, ...]] = field(repr=False)
    topics: tuple[str, ...]
    answers_people: bool
    outcome_queue: str
    host_name: str
    threads: int
    use_proxy: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read and check every setting; raise InvalidSettingError naming the first wrong one."""
        reader = _Reader(environment)
        cloud = CLOUDS[reader.one_of("BotCloud", "Public", tuple(CLOUDS))]
        app_id = reader.text("MicrosoftAppId")
        if not app_id and not reader.is_development():
            raise InvalidSettingError(
                "MicrosoftAppId",
                "is empty; it must be the bot's app id (only a local development host, with "
                "AZURE_FUNCTIONS_ENVIRONMENT=Development, runs without one)",
            )
        trusted = TrustedServiceUrls(
            cloud, reader.origins("TrustedServiceUrls"), only_loopback=not app_id
        )
        return cls(
            cloud=cloud,
            credential=_bot_credential(reader, cloud, app_id) if app_id else None,
            storage=_storage_account(reader),
            trusted_service_urls=trusted,
            app_id=app_id,
            tenant_id=reader.text("MicrosoftAppTenantId"),
            default_channel_id=reader.word("DefaultChannelId", TEAMS, "-_").lower(),
            default_service_url=reader.trusted_url("DefaultServiceUrl", trusted),
            default_locale=reader.word("DefaultLocale", "en", "-"),
            token_issuer=reader.issuer("ToBotFromChannelTokenIssuer", cloud.token_issuer),
            openid_metadata_url=reader.metadata_url("ToBotFromChannelOpenIdMetadataUrl")
            or cloud.openid_metadata_url,
            # A start may wait as long for another one and then call: both together must fit the
            # 230 s that Azure's load balancer gives an HTTP function.
            connector_timeout_seconds=reader.number("ConnectorTimeoutSeconds", 15, 1, 100),
            send_rate_per_second=reader.number("SendRatePerSecond", 40, 0.1, 100_000),
            give_up_ambiguous=reader.one_of("AmbiguousSend", "resend", ("resend", "giveUp"))
            == "giveUp",
            blocked_probe_days=reader.number("BlockedProbeDays", 7, 0, 3650),
            delivery_retention_days=reader.number("DeliveryRetentionDays", 30, 1, 3650),
            largest_activity_kilobytes=reader.kilobytes("LargestActivityKilobytes"),
            webhook_secrets=reader.webhook_secrets("WebhookSecrets"),
            topics=reader.topics("Topics"),
            answers_people=reader.one_of("AnswersPeople", "true", ("true", "false")) == "true",
            outcome_queue=reader.text("OutcomeQueue"),
            # The Functions host sets it.
            host_name=reader.text("WEBSITE_HOSTNAME", "localhost"),
            threads=reader.threads(),
            use_proxy=reader.has_proxy(),
        )

    @property
    def lease_seconds(self) -> float:
        """How long the right to make one Connector call lasts: for the call and what it writes."""
        return self.connector_timeout_seconds + _LEASE_MARGIN_SECONDS

    def service_url(self, channel_id: str) -> str:
        """Return the service URL to start with on a channel that has told us none yet."""
        if self.default_service_url:
            return self.default_service_url
        if channel_id == TEAMS and self.cloud.teams_service_url:
            return self.cloud.teams_service_url
        return f"https://{channel_id}.{self.cloud.trusted_domains[0]}/"

    def largest_activity_bytes(self, channel_id: str) -> int:
        """Return how large an activity a channel takes, in bytes of UTF-16."""
        known = channel(channel_id).largest_activity_kilobytes
        return self.largest_activity_kilobytes.get(channel_id, known) * 1024

    def bot_id(self, channel_id: str) -> str:
        """Return the bot's id on a channel that has told us none yet; empty without an app id."""
        return f"28:{self.app_id}" if self.app_id and channel_id == TEAMS else self.app_id


def _bot_credential(reader: "_Reader", cloud: Cloud, app_id: str) -> BotCredential:
    app_type = AppType(reader.one_of("MicrosoftAppType", AppType.USER_ASSIGNED_MSI, tuple(AppType)))
    login_url = reader.https_url("ToChannelFromBotLoginUrl") or cloud.login_url
    # The Bot Framework writes this setting with the tenant behind the host, or without one.
    login_url, _, tenant_in_url = _split_path(login_url)
    tenant_id = reader.text("MicrosoftAppTenantId")
    if app_type is AppType.MULTI_TENANT:
        tenant_id = tenant_in_url or cloud.multi_tenant
    elif app_type is AppType.SINGLE_TENANT and not tenant_id:
        raise InvalidSettingError(
            "MicrosoftAppTenantId", "is empty; a SingleTenant bot needs its tenant's id"
        )
    credential = BotCredential(
        app_type=app_type,
        app_id=app_id,
        tenant_id=tenant_id,
        login_url=login_url,
        scope=reader.scope("ToChannelFromBotOAuthScope", cloud.scope),
        password=reader.text("MicrosoftAppPassword"),
        certificate_path=reader.text("MicrosoftAppCertificatePath"),
        federated_client_id=reader.text("MicrosoftAppFederatedClientId"),
    )
    has_own_secret = (
        credential.password or credential.certificate_path or credential.federated_client_id
    )
    if app_type is not AppType.USER_ASSIGNED_MSI and not has_own_secret:
        raise InvalidSettingError(
            "MicrosoftAppPassword",
            f"is empty; a {app_type} bot needs it, or MicrosoftAppCertificatePath, or "
            "MicrosoftAppFederatedClientId (MicrosoftAppType=UserAssignedMSI needs none of them)",
        )
    return credential


def _storage_account(reader: "_Reader") -> StorageAccount:
    connection_string = reader.text(STORAGE)
    if connection_string:
        try:
            return StorageAccount.from_connection_string(connection_string)
        except ValueError:
            raise InvalidSettingError(
                STORAGE, "is not a connection string of a storage account"
            ) from None
    name = reader.text(f"{STORAGE}__accountName")
    table_url = reader.https_url(f"{STORAGE}__tableServiceUri")
    queue_url = reader.https_url(f"{STORAGE}__queueServiceUri")
    if name:
        table_url = table_url or f"https://{name}.table.core.windows.net"
        queue_url = queue_url or f"https://{name}.queue.core.windows.net"
    if not table_url or not queue_url:
        raise InvalidSettingError(
            STORAGE,
            f"is empty; set it to a connection string (UseDevelopmentStorage=true for Azurite), or "
            f"set {STORAGE}__tableServiceUri and {STORAGE}__queueServiceUri, or "
            f"{STORAGE}__accountName",
        )
    return StorageAccount(
        table_service_url=table_url,
        queue_service_url=queue_url,
        client_id=reader.text(f"{STORAGE}__clientId"),
        managed_identity=reader.text(f"{STORAGE}__credential").lower() == "managedidentity",
    )


def _split_path(url: str) -> tuple[str, str, str]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}", slash, path.strip("/").partition("/")[0]


class _Reader:
    """Reads one setting at a time, and says which one is wrong."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str = "") -> str:
        return self._environment.get(name, "").strip() or default

    def word(self, name: str, default: str, marks: str) -> str:
        value = self.text(name, default)
        if not re.fullmatch(f"[A-Za-z0-9{re.escape(marks)}]{{1,64}}", value):
            raise InvalidSettingError(
                name, f"must be 1 to 64 letters, digits and {' '.join(marks)}"
            )
        return value

    def one_of(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        for candidate in allowed:
            if candidate.lower() == value.lower():
                return candidate
        raise InvalidSettingError(name, f"must be one of {', '.join(allowed)}")

    def number(self, name: str, default: float, least: float, most: float) -> float:
        try:
            value = float(self.text(name, str(default)))
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise InvalidSettingError(name, f"must be a number from {least:g} to {most:g}")
        return value

    def https_url(self, name: str) -> str:
        value = self.text(name)
        origin = origin_of(value)
        if value and (origin is None or origin[0] != "https"):
            raise InvalidSettingError(name, "must be a plain https URL")
        return value.rstrip("/")

    def issuer(self, name: str, default: str) -> str:
        # It is compared letter by letter, so a slash at its end stays.
        return self.text(name) if self.https_url(name) else default

    def metadata_url(self, name: str) -> str:
        value = self.text(name)
        if value and not is_safe(value):
            raise InvalidSettingError(name, "must be a plain https URL")
        return value

    def trusted_url(self, name: str, trusted: TrustedServiceUrls) -> str:
        value = self.text(name)
        if not value:
            return ""
        try:
            trusted.require(value)
        except UntrustedServiceUrlError as error:
            raise InvalidSettingError(name, error.field_errors[0].message) from None
        return value

    def parts(self, name: str) -> Iterator[str]:
        return filter(None, map(str.strip, self.text(name).split(",")))

    def origins(self, name: str) -> list[Origin]:
        origins = []
        for part in self.parts(name):
            origin = parse_origin(part)
            if origin is None:
                raise InvalidSettingError(
                    name,
                    "must be origins such as https://connector.example.com, comma separated; http "
                    "is for this machine only",
                )
            origins.append(origin)
        return origins

    def scope(self, name: str, default: str) -> str:
        value = self.https_url(name) or default
        return value if value.endswith("/.default") else f"{value}/.default"

    def kilobytes(self, name: str) -> dict[str, int]:
        kilobytes = {}
        for part in self.parts(name):
            match = re.fullmatch(r"([A-Za-z0-9_-]{1,64})\s*=\s*([1-9]\d{0,4})", part)
            if match is None:
                raise InvalidSettingError(
                    name, "must be channels with KB such as msteams=100,slack=40"
                )
            kilobytes[match[1]] = int(match[2])
        return kilobytes

    def webhook_secrets(self, name: str) -> dict[str, tuple[str, ...]]:
        secrets: dict[str, tuple[str, ...]] = {}
        for part in self.parts(name):
            # What is no name of a sender may be the rest of a secret with a comma in it.
            match = re.fullmatch(r"([a-z-]{1,20})\s*=\s*(.*)", part)
            if match is None:
                raise InvalidSettingError(
                    name,
                    "must be senders with their secrets such as github=…,azure-monitor=; a secret "
                    "holds no comma",
                )
            sender, secret = match.groups()
            if sender not in SENDERS:
                raise InvalidSettingError(
                    name, f"names the sender {sender}; known are {', '.join(sorted(SENDERS))}"
                )
            if secret and sender not in SIGNING_SENDERS:
                raise InvalidSettingError(
                    name, f"has a secret for {sender}, which cannot sign; write {sender}="
                )
            secrets[sender] = (*secrets.get(sender, ()), secret)
        return secrets

    def topics(self, name: str) -> tuple[str, ...]:
        topics: dict[str, str] = {}
        for part in self.parts(name):
            topics.setdefault(part.casefold(), part)
        if len(topics) > _MOST_TOPICS or any(len(each) > _LONGEST_TOPIC for each in topics):
            raise InvalidSettingError(
                name,
                f"must be at most {_MOST_TOPICS} topics, comma separated, of at most "
                f"{_LONGEST_TOPIC} characters each",
            )
        return tuple(topics.values())

    def threads(self) -> int:
        # The worker's own rule for its thread pool: its setting, else what
        # concurrent.futures.ThreadPoolExecutor takes by default.
        default = min(32, (os.cpu_count() or 1) + 4)
        return int(self.number("PYTHON_THREADPOOL_THREAD_COUNT", default, 1, 1024))

    def has_proxy(self) -> bool:
        names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
        return any(self.text(name) or self.text(name.lower()) for name in names)

    def is_development(self) -> bool:
        in_azure = self.text("WEBSITE_SITE_NAME") or self.text("WEBSITE_INSTANCE_ID")
        return not in_azure and self.text("AZURE_FUNCTIONS_ENVIRONMENT") == "Development"
