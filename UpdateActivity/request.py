"""What can be asked for: another activity in the place of one that was sent."""

from shared.sending.change_request import ChangeRequest
from shared.wire_models import Activity


class UpdateRequest(ChangeRequest):
    """A request to edit an activity: a message of the queue, or what HTTP makes of its own."""

    activity: Activity
