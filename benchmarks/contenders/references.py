"""No contender, but run like one: stores a ConversationReference for each user."""

import json
import os

from azure.data.tables import TableClient

from benchmarks.contenders.worker import SendAll, in_threads
from benchmarks.messages import CHANNEL_ID, REFERENCES, SERVICE_URL, STORAGE, reference, user_id


def contender() -> SendAll:
    """Return what stores the references."""
    table = TableClient.from_connection_string(os.environ[STORAGE], REFERENCES)
    service_url = os.environ[SERVICE_URL]

    def keep(_batch: str, user: int) -> None:
        """Keep the reference of one user."""
        kept = json.dumps(reference(user, service_url))
        table.upsert_entity(
            {"PartitionKey": CHANNEL_ID, "RowKey": user_id(user), "reference": kept}
        )

    return in_threads(keep)
