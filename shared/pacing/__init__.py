"""Pacing: all instances of the app together call a service no faster than it allows.

Table ``lanes``, a row for each lane: what goes to one service host for one tenant. PartitionKey:
the hash of the bot's app id, the host and the tenant's id; RowKey: ``lane``. The row holds the time
of the first slot that nobody has reserved, and the pause of the lane, if there is one. It is only
changed over the version that was read, so no slot and no probe is given out twice.

A slot is the right to make one call at its time. Instances reserve chunks of them, the larger the
more is sent. A pause holds all instances back: until its end when the service throttled, else until
a probe, which is a single call that is let through at intervals, has come through.
"""

from shared.pacing.lane import CREDENTIAL, Lane
from shared.pacing.pacer import DISABLED, Pacer, Slot

__all__ = ["CREDENTIAL", "DISABLED", "Lane", "Pacer", "Slot"]
