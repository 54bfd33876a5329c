"""Accepting alerts, telling how far they are, and putting back what failed."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from SendAlert.audience import batches
from SendAlert.progress import Progress, deliveries_of, progress_of
from SendAlert.request import AlertDeliveryQuery, AlertQuery, AlertRequest
from shared.accounts.account import Account
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.alerts.question import Answer
from shared.alerts.store import REMEMBERED_FOR
from shared.deliveries.delivery import Delivery, DeliveryState, Status
from shared.deliveries.rows import member_of
from shared.errors import AlertOverError, FieldError, InvalidRequestError
from shared.messages.envelope import Step
from shared.messages.queued_message import QueuedMessage
from shared.sending.alert_lifecycle import create_alert, require_records, require_sendable
from shared.sending.alert_steps import enqueue_step
from shared.wiring import Services

_LONGEST_WAIT_SECONDS = 2.0
_POLL_SECONDS = 0.25
# Azure's load balancer gives an HTTP function 230 s.
_LONGEST_DRY_RUN_SECONDS = 60.0


@dataclass(frozen=True)
class Reach:
    """How many people an alert would reach; ``suppressed`` are those who would get nothing.

    It is an estimate when there were too many people to look at each of them.
    """

    total: int
    suppressed: int
    by_channel: Mapping[str, int]
    by_locale: Mapping[str, int]
    is_estimate: bool


def accept_alert(
    request: AlertRequest, alert_id: str, services: Services, *, traceparent: str | None = None
) -> Alert:
    """Accept the alert that a request asks for; raises what ``create_alert`` raises."""
    alert = request.to_alert(alert_id, traceparent=traceparent)
    return create_alert(alert, request.content_json(), request.named, services)


def accept_queued_alert(message: QueuedMessage, services: Services) -> None:
    """Accept the alert that a queue's message asks for."""
    request = AlertRequest.from_json(message.body)
    if request.dry_run:
        raise InvalidRequestError(FieldError("dryRun", "has nobody to answer to on a queue"))
    accept_alert(request, message.envelope.id, services, traceparent=message.envelope.traceparent)


def reach_of(request: AlertRequest, services: Services) -> Reach:
    """Return how many people an alert would reach if it were sent now; nothing is kept."""
    alert = request.to_alert("dry-run")
    require_sendable(alert, request.content_json(), services)
    deadline = time.monotonic() + _LONGEST_DRY_RUN_SECONDS
    suppressed, reached = 0, Counter[tuple[str, str]]()
    for batch in batches(alert, request.named, services):
        for member in batch.members:
            if member.refusal(alert.topic) is not None:
                suppressed += 1
            else:
                locale = member.account.locale if member.account else None
                reached[member.channel_id, locale or services.settings.default_locale] += 1
        if time.monotonic() > deadline:
            break
    # The rest of the audience is expected to be like the part that was read.
    part = batch.share
    by_channel, by_locale = Counter[str](), Counter[str]()
    for (channel_id, locale), count in reached.items():
        by_channel[channel_id] += round(count / part)
        by_locale[locale] += round(count / part)
    return Reach(
        total=round(reached.total() / part),
        suppressed=round(suppressed / part),
        by_channel=by_channel,
        by_locale=by_locale,
        is_estimate=part < 1,
    )


def list_alerts(query: AlertQuery, services: Services) -> tuple[list[Alert], str | None]:
    """Return a page of the alerts, its newest first, and the token of the next page."""
    alerts, token = services.alerts.page(query.page_size, query.continuation_token)
    return sorted(alerts, key=lambda alert: alert.created_at, reverse=True), token


def list_alert_deliveries(
    alert_id: str, query: AlertDeliveryQuery, services: Services
) -> tuple[list[Delivery], str | None]:
    """Return deliveries of an alert, and the token of the next page.

    The list goes through the pages of the audience, so a page of it may be empty: go on until there
    is no token.
    """
    alert = services.alerts.find(alert_id)
    number, after = query.place
    page = services.audience_pages.find(alert.id, number)
    matching = sorted(
        (
            each
            for each in (deliveries_of(page, alert, services) if page else ())
            if query.status in (None, each.status) and member_of(each.id) > after
        ),
        key=lambda each: member_of(each.id),
    )
    token: str | None = None
    shown = matching[: query.page_size]
    if len(shown) < len(matching):
        token = f"{number}.{member_of(shown[-1].id)}"
    else:
        token = f"{number + 1}." if number + 1 < alert.next_page else None
    return [_recorded(each, page, services) for each in shown if page], token


def _recorded(state: DeliveryState, page: AudiencePage, services: Services) -> Delivery:
    """Return the delivery whose state was found, with its recipient unless they are erased."""
    delivery = services.deliveries.get(state.id) or Delivery(
        state.id, Status.ACCEPTED, page.read_at, page.read_at, alert_id=page.alert_id
    )
    if delivery.status is state.status:
        return delivery
    return replace(delivery, status=state.status, code=None, detail=None)


def list_answers(
    alert_id: str, query: AlertQuery, services: Services
) -> tuple[list[tuple[Answer, Account | None]], str | None]:
    """Return answers to an alert, each with who gave it, and the token of the next page.

    Nobody has given those of people who were erased.
    """
    first = services.alerts.find(alert_id).first_answer
    answers, token = services.answers.page(alert_id, query.page_size, query.continuation_token)
    if first is not None:
        answers = [first]
    return list(zip(answers, services.answers.people(answers), strict=True)), token


def retry_alert(alert_id: str, services: Services) -> Alert:
    """Put back what failed of an alert, and nothing else; of a recalled one, the failed recalls.

    Raises AlertOverError when the alert was cancelled.
    """
    now = datetime.now(UTC)

    def retried(current: Alert) -> Alert:
        if current.cancelled_at is not None and current.recalled_at is None:
            raise AlertOverError("The alert was cancelled, so nothing more is sent of it")
        require_records(current, now, services)
        # It ends again once all that is put back has ended.
        return replace(current, ended_at=None)

    alert = services.alerts.change(alert_id, retried)
    enqueue_step(alert, Step(kind="retry"), services)
    return alert


def progress_when_quiet(
    alert: Alert,
    services: Services,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Progress:
    """Return how far a stopped alert is, as soon as no call of it is being made any more.

    Waits for that, but no longer than two seconds.
    """
    deadline = clock() + _LONGEST_WAIT_SECONDS
    if alert.ended_at is None:
        # Until then other instances may not know that it was stopped.
        sleep(REMEMBERED_FOR.total_seconds())
    progress = progress_of(alert, services)
    while progress.under_way and clock() < deadline:
        sleep(_POLL_SECONDS)
        progress = progress_of(alert, services)
    return progress
