"""Changes of an alert that was sent, and what they lead to."""

from shared.messages.envelope import AlertChange
from shared.messages.queue_names import UPDATE_ACTIVITY
from shared.sending.alert_lifecycle import edit_alert, recall_alert
from tests.support.connector import is_send

NEW_TEXT = {"activity": {"text": "Edited"}}


def edit(alerting, alert):
    return edit_alert(alert.id, NEW_TEXT, alerting.services)


def recall(alerting, alert):
    return recall_alert(alert.id, alerting.services)


def only_delivery(alerting, alert):
    [delivery] = alerting.services.deliveries.page(alert.id, 0)
    return alerting.services.deliveries.find(delivery.id)


def changes(alerting):
    """The edits of copies that are enqueued."""
    return [
        AlertChange.model_validate(message["_flow"]["change"])
        for message in alerting.worker.waiting[UPDATE_ACTIVITY].take()
    ]


def calls(connector, method):
    return [call for call in connector.requests if call.method == method]


def fail_for(connector, *people):
    broken = {f"a:{each.user_id}" for each in people}
    connector.fail(
        400,
        "BadSyntax",
        times=len(people),
        when=lambda call: is_send(call) and call.json["conversation"]["id"] in broken,
    )
