"""What the functions work with, put together from the settings once, on first use."""

import threading
from dataclasses import dataclass

from shared.accounts import AccountCache
from shared.auth.inbound import AnyCallers, Callers, ConnectorCallers, SigningKeys
from shared.auth.tokens import BotTokens, NoTokens
from shared.connector import ConnectorClient
from shared.conversations import ConversationCache
from shared.flow import Queues
from shared.leases import Leases
from shared.opt_outs import OptOuts
from shared.settings import Settings
from shared.storage import Storage


@dataclass(frozen=True)
class Services:
    """The settings, the Connector and the caches of one bot; for all threads of the process."""

    settings: Settings
    storage: Storage
    connector: ConnectorClient
    accounts: AccountCache
    opt_outs: OptOuts
    callers: Callers
    conversations: ConversationCache
    leases: Leases
    queues: Queues

    @classmethod
    def of(cls, settings: Settings) -> "Services":
        """Put everything together; nothing is connected to before it is used."""
        storage = Storage(settings.storage, settings.threads)
        opt_outs = OptOuts(storage, settings.app_id)
        connector = ConnectorClient(
            BotTokens(settings.credential) if settings.credential else NoTokens(),
            settings.trusted_service_urls,
            timeout_seconds=settings.connector_timeout_seconds,
            connections=settings.threads,
            use_proxy=settings.use_proxy,
        )
        return cls(
            settings=settings,
            storage=storage,
            connector=connector,
            accounts=AccountCache(storage, settings.app_id, opt_outs),
            opt_outs=opt_outs,
            callers=_callers(settings),
            conversations=ConversationCache(storage, settings.app_id),
            leases=Leases(storage),
            queues=Queues(storage),
        )


def _callers(settings: Settings) -> Callers:
    if settings.credential is None:
        return AnyCallers()
    keys = SigningKeys(settings.openid_metadata_url, use_proxy=settings.use_proxy)
    return ConnectorCallers(settings.app_id, settings.token_issuer, keys)


_lock = threading.Lock()
_services: Services | None = None


def services() -> Services:
    """Return the process's services; raise InvalidSettingError when a setting is wrong."""
    global _services
    with _lock:
        if _services is None:
            _services = Services.of(Settings.from_environment())
        return _services
