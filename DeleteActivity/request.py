"""What can be asked for: that an activity which was sent be gone."""

from shared.sending.change_request import ChangeRequest


class DeleteRequest(ChangeRequest):
    """A request to recall an activity: a message of the queue, or what HTTP makes of its own."""
