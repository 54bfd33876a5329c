"""Our service function alone: as over HTTP, without a record of what became of the message."""

from benchmarks.contenders.as_in_azure import log_as_in_azure
from benchmarks.contenders.worker import Send, SendAll, in_threads
from benchmarks.messages import CHANNEL_ID, activity, user_id


def _bare_send() -> Send:
    from SendActivity.request import SendRequest
    from SendActivity.service import send_activity
    from shared.wiring import services

    def send(batch: str, user: int) -> None:
        request = SendRequest.from_json(
            {
                "recipient": {"channelId": CHANNEL_ID, "userId": user_id(user)},
                "activity": activity(batch, user),
            }
        )
        assert send_activity(request, services()).activity_id

    return send


def contender() -> SendAll:
    """Return what sends, once all that it needs is loaded."""
    log_as_in_azure()
    return in_threads(_bare_send())
