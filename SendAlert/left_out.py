"""The members of an alert's page who are sent nothing: recorded with the reason."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from SendAlert.audience import Member
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.rows import id_in_alert
from shared.errors import SuppressedError
from shared.messages.queue_names import SEND_ALERT
from shared.sending.telemetry import Outcome, report
from shared.wiring import Services

_GONE = "The person was forgotten, or has left the audience"


def record_left_out(
    found: Sequence[Member],
    refusals: Mapping[str, str],
    alert: Alert,
    page: AudiencePage,
    services: Services,
) -> None:
    """Record the members of a page who are sent nothing.

    Those are the ones with ``refusals``, by their ids, and the ones who were not ``found`` any
    more: they have left the audience since the page was read first.
    """
    refused = [member for member in found if member.id in refusals]
    for member in refused:
        report(
            Outcome.SUPPRESSED,
            queue=SEND_ALERT,
            deliveryId=id_in_alert(alert.id, page.number, member.id),
            channelId=member.channel_id,
            user_id=member.user_id,
            code=SuppressedError.code,
            alertId=alert.id,
            traceparent=alert.traceparent,
        )
    gone = set(page.members).difference(member.id for member in found)
    services.deliveries.record_all(
        [
            *(_suppressed(each.id, refusals[each.id], page, _to(each)) for each in refused),
            *(_suppressed(member_id, _GONE, page) for member_id in gone),
        ]
    )


def _to(member: Member) -> Destination:
    account = member.account
    return Destination(
        channel_id=member.channel_id,
        service_url="",
        conversation_id=account.conversation_id if account else None,
        user_id=member.user_id,
        key=account.key if account else None,
    )


def _suppressed(
    member_id: str, reason: str, page: AudiencePage, destination: Destination | None = None
) -> Delivery:
    delivery_id = id_in_alert(page.alert_id, page.number, member_id)
    return Delivery(
        id=delivery_id,
        status=Status.SUPPRESSED,
        created_at=page.read_at,
        updated_at=datetime.now(UTC),
        posting=delivery_id,
        destination=destination,
        code=SuppressedError.code,
        detail=reason,
        alert_id=page.alert_id,
    )
