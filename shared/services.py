"""What the functions work with, put together from the settings once, on first use."""

import threading
from dataclasses import dataclass

from shared.accounts import AccountCache
from shared.alerts import AlertPages, Alerts
from shared.auth.inbound import AnyCallers, Callers, ConnectorCallers, SigningKeys
from shared.auth.tokens import BotTokens, NoTokens
from shared.claim_checks import ClaimChecks
from shared.connector import ConnectorClient
from shared.conversation_limits import ConversationLimits
from shared.conversations import ConversationCache
from shared.deliveries import Deliveries, Failures
from shared.idempotency import IdempotencyKeys
from shared.leases import Leases
from shared.opt_outs import OptOuts
from shared.pacing import Pacer
from shared.personal_keys import PersonalKeys
from shared.queues import Queues
from shared.settings import Settings
from shared.storage import Storage

# A claim outlives what it is for, and the writes after it.
_LEASE_MARGIN_SECONDS = 10.0


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
    deliveries: Deliveries
    failures: Failures
    alerts: Alerts
    alert_pages: AlertPages
    pacer: Pacer
    conversation_limits: ConversationLimits
    idempotency_keys: IdempotencyKeys

    @classmethod
    def of(cls, settings: Settings) -> "Services":
        """Put everything together; nothing is connected to before it is used."""
        storage = Storage(settings.storage, settings.threads)
        app_id = settings.app_id
        opt_outs = OptOuts(storage, app_id)
        keys = PersonalKeys(storage)
        conversations = ConversationCache(storage, app_id)
        claim_checks = ClaimChecks(storage)
        failures = Failures(storage, app_id, keys, claim_checks)
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
            accounts=AccountCache(storage, app_id, opt_outs, keys, conversations),
            opt_outs=opt_outs,
            callers=_callers(settings),
            conversations=conversations,
            leases=Leases(storage),
            queues=Queues(storage, claim_checks),
            deliveries=Deliveries(
                storage,
                app_id,
                keys,
                failures,
                give_up_ambiguous=settings.give_up_ambiguous,
            ),
            failures=failures,
            alerts=Alerts(
                storage, app_id, claim_checks, kept_days=settings.delivery_retention_days
            ),
            alert_pages=AlertPages(storage, app_id),
            pacer=Pacer(storage, app_id, rate_per_second=settings.send_rate_per_second),
            conversation_limits=ConversationLimits(),
            idempotency_keys=IdempotencyKeys(
                storage,
                settings.app_id,
                # A start may wait for another one, and then call: each for so long.
                lease_seconds=2 * settings.connector_timeout_seconds + _LEASE_MARGIN_SECONDS,
                give_up_ambiguous=settings.give_up_ambiguous,
            ),
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
