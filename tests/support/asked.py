"""People who have got an alert that asks something, as if it had been sent to them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.accounts.account import Account, OneToOne
from shared.alerts.alert import Alert
from shared.alerts.button_data import Click
from shared.alerts.question import AnswerMode, Option, Question
from shared.deliveries.delivery import Delivery
from shared.sending.answer_decision import Clicked, Clicker, Refusal, take_click
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from tests.support.builders import unique
from tests.support.copies import deliver_copy, make_known

NOW = datetime.now(UTC)
TENANT = "11111111-2222-4333-8444-555555555555"
OPTIONS = (Option("take", {"": "I take it"}), Option("later", {"": "Later"}))


class Person:
    """Somebody who has got an alert, and clicks on it."""

    def __init__(self, services: Services, account: Account, delivery: Delivery) -> None:
        self._services = services
        self.account = account
        self.delivery = delivery

    def clicks(
        self,
        option: str = "take",
        drawn: int = 0,
        delivery_id: str | None = None,
        **other: Any,
    ) -> Clicked | Refusal:
        """Clicks on their card; or on another one, or as somebody else."""
        conversation_id = self.account.conversation_id or ""
        clicker = Clicker(self.account.channel_id, (self.account.user_id,), conversation_id, TENANT)
        click = Click(delivery_id or self.delivery.id, option, drawn)
        return take_click(click, replace(clicker, **other), self._services)


def ask(services: Services, mode: AnswerMode = AnswerMode.FIRST, **fields: Any) -> Alert:
    """Make an alert that asks something."""
    alert = Alert(
        unique("alert"),
        NOW,
        NOW,
        fingerprint="",
        content_key=services.alerts.keep({"activity": {"text": "Who takes it?"}}, None),
        question=Question(OPTIONS, mode),
        **fields,
    )
    services.alerts.create(alert)
    return alert


def reached(services: Services, alert: Alert, *, known: Any = None, **fields: Any) -> Person:
    """Make a person who has got an alert; ``known`` is what is known of them beside the usual."""
    user_id = unique("29:alex")
    account = Account(
        **{
            "channel_id": "msteams",
            "user_id": user_id,
            "name": "Alex",
            "locale": "de-AT",
            "tenant_id": TENANT,
            "bot": ChannelAccount(id="28:bot"),
            "service_url": "https://smba.trafficmanager.net/teams/",
            "conversation": OneToOne(f"a:{user_id}"),
            **(known or {}),
        }
    )
    account = make_known(services, account)
    delivery = deliver_copy(services, alert, account, **fields)
    return Person(services, account, delivery)
