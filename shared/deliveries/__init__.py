"""What becomes of each message: claimed before the call, recorded after it, kept when it failed.

Table ``deliveries``, a row for each message. PartitionKey: the hash of the bot's app id and the
delivery's id; RowKey: ``delivery``. The row is written before the call as a claim, a lease on
making it, and again with the result: so a message that the queue gives out twice is sent once.

The deliveries of an alert stand together, page by page of its audience, so that they are counted
by reading their page. PartitionKey: the hash of the bot's app id, the alert's id and the page's
number; RowKey: the member of the page, as in the delivery's id, ``<alert>:<page>:<member>``.

Table ``failures``, a row only for what failed, until it is retried. PartitionKey: the bot's app id
and the day; RowKey: the hash of the delivery's id. It leads to the message, kept whole aside.

The ids of people stand in both only sealed with the person's own key.
"""

from shared.deliveries.delivery import Delivery, Destination, Status
from shared.deliveries.failures import Failure, Failures
from shared.deliveries.ledger import MOST_ATTEMPTS, Claim, Deliveries
from shared.deliveries.rows import id_in_alert, member_of, place_in_alert

__all__ = [
    "MOST_ATTEMPTS",
    "Claim",
    "Deliveries",
    "Delivery",
    "Destination",
    "Failure",
    "Failures",
    "Status",
    "id_in_alert",
    "member_of",
    "place_in_alert",
]
