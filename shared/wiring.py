"""What the functions work with, put together from the settings once, on first use."""

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from shared.accounts.conversations import ConversationStore
from shared.accounts.opt_outs import OptOuts
from shared.accounts.store import AccountStore
from shared.auth.inbound import AnyCallers, Callers, ConnectorCallers, SigningKeys
from shared.auth.tokens import BotTokens, NoTokens
from shared.connector.client import ConnectorClient
from shared.deliveries.failures import Failures
from shared.deliveries.store import DeliveryStore
from shared.idempotency import IdempotencyKeys
from shared.messages.app_queues import AppQueues
from shared.settings import Settings
from shared.storage.clients import Storage
from shared.storage.large_values import LargeValues
from shared.storage.leases import Leases
from shared.storage.personal_keys import PersonalKeys
from shared.throttling.conversation_limits import ConversationLimits
from shared.throttling.pacer import Pacer

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from shared.alerts.answers import AnswerStore
    from shared.alerts.audience_pages import AudiencePages
    from shared.alerts.incidents import IncidentStore
    from shared.alerts.store import AlertStore
    from shared.messages.outcomes import Outcomes


@dataclass(frozen=True)
class Services:
    """The settings, the Connector and the caches of one bot; for all threads of the process.

    ``outcomes`` is None where no other system is told of them.
    """

    settings: Settings
    storage: Storage
    keys: PersonalKeys
    connector: ConnectorClient
    accounts: AccountStore
    opt_outs: OptOuts
    callers: Callers
    conversations: ConversationStore
    leases: Leases
    queues: AppQueues
    deliveries: DeliveryStore
    failures: Failures
    pacer: Pacer
    conversation_limits: ConversationLimits
    idempotency_keys: IdempotencyKeys
    outcomes: "Outcomes | None"

    @classmethod
    def of(cls, settings: Settings) -> "Services":
        """Put everything together; nothing is connected to before it is used."""
        storage = Storage(settings.storage, settings.threads)
        app_id = settings.app_id
        opt_outs = OptOuts(storage, app_id)
        keys = PersonalKeys(storage)
        conversations = ConversationStore(storage, app_id)
        large_values = LargeValues(storage)
        failures = Failures(storage, app_id, keys, large_values)
        connector = ConnectorClient(
            BotTokens(settings.credential) if settings.credential else NoTokens(),
            settings.trusted_service_urls,
            timeout_seconds=settings.connector_timeout_seconds,
            connections=settings.threads,
            use_proxy=settings.use_proxy,
        )
        accounts = AccountStore(storage, app_id, opt_outs, keys, conversations)
        deliveries = DeliveryStore(
            storage, app_id, keys, failures, give_up_ambiguous=settings.give_up_ambiguous
        )
        return cls(
            settings=settings,
            storage=storage,
            keys=keys,
            connector=connector,
            accounts=accounts,
            opt_outs=opt_outs,
            callers=_callers(settings),
            conversations=conversations,
            leases=Leases(storage),
            queues=AppQueues(storage, app_id, large_values),
            deliveries=deliveries,
            failures=failures,
            pacer=Pacer(storage, app_id, rate_per_second=settings.send_rate_per_second),
            conversation_limits=ConversationLimits(),
            idempotency_keys=IdempotencyKeys(
                storage,
                settings.app_id,
                # A start may wait for another one, and then call: each for so long.
                lease_seconds=settings.connector_timeout_seconds + settings.lease_seconds,
                give_up_ambiguous=settings.give_up_ambiguous,
            ),
            outcomes=_outcomes(storage, settings),
        )

    # What a message to one person does without is made when it is first used.

    @cached_property
    def threads(self) -> "ThreadPoolExecutor":
        """Threads that read beside an invocation's own; none of them may wait for another."""
        from concurrent.futures import ThreadPoolExecutor

        # More would only wait for connections.
        return ThreadPoolExecutor(self.settings.threads)

    @cached_property
    def alerts(self) -> "AlertStore":
        """The alerts, and what they say."""
        from shared.alerts.store import AlertStore

        settings = self.settings
        return AlertStore(
            self.storage,
            settings.app_id,
            self.queues.large_values,
            kept_days=settings.delivery_retention_days,
        )

    @cached_property
    def audience_pages(self) -> "AudiencePages":
        """The pages of their audiences."""
        from shared.alerts.audience_pages import AudiencePages

        return AudiencePages(self.storage, self.settings.app_id)

    @cached_property
    def answers(self) -> "AnswerStore":
        """The answers to them."""
        from shared.alerts.answers import AnswerStore

        return AnswerStore(
            self.storage, self.settings.app_id, self.keys, self.deliveries, self.accounts
        )

    @cached_property
    def incidents(self) -> "IncidentStore":
        """What other systems have told."""
        from shared.alerts.incidents import IncidentStore

        return IncidentStore(self.storage, self.settings.app_id)


def _callers(settings: Settings) -> Callers:
    if settings.credential is None:
        return AnyCallers()
    keys = SigningKeys(settings.openid_metadata_url, use_proxy=settings.use_proxy)
    return ConnectorCallers(settings.app_id, settings.token_issuer, keys)


def _outcomes(storage: Storage, settings: Settings) -> "Outcomes | None":
    if not settings.outcome_queue:
        return None
    from shared.messages.outcomes import Outcomes

    return Outcomes(storage, settings)


_lock = threading.Lock()
_services: Services | None = None


def services() -> Services:
    """Return the process's services; raise InvalidSettingError when a setting is wrong."""
    global _services
    with _lock:
        if _services is None:
            _services = Services.of(Settings.from_environment())
        return _services
