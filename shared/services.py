"""What the functions work with, put together from the settings once, on first use."""

import threading
from dataclasses import dataclass

from shared.accounts import AccountCache
from shared.auth.tokens import BotTokens, NoTokens
from shared.connector import ConnectorClient
from shared.conversations import ConversationCache
from shared.flow import Queues
from shared.leases import Leases
from shared.settings import Settings
from shared.storage import Storage


@dataclass(frozen=True)
class Services:
    """The settings, the Connector and the caches of one bot; for all threads of the process."""

    settings: Settings
    storage: Storage
    connector: ConnectorClient
    accounts: AccountCache
    conversations: ConversationCache
    leases: Leases
    queues: Queues

    @classmethod
    def of(cls, settings: Settings) -> "Services":
        """Put everything together; nothing is connected to before it is used."""
        storage = Storage(settings.storage, settings.threads)
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
            accounts=AccountCache(storage, settings.app_id),
            conversations=ConversationCache(storage, settings.app_id),
            leases=Leases(storage),
            queues=Queues(storage),
        )


_lock = threading.Lock()
_services: Services | None = None


def services() -> Services:
    """Return the process's services; raise InvalidSettingError when a setting is wrong."""
    global _services
    with _lock:
        if _services is None:
            _services = Services.of(Settings.from_environment())
        return _services
