"""The buttons of an alert that asks something, and what a click on one of them says."""

import json
from dataclasses import dataclass
from typing import Any

_CLICK = "_answer"
"""One object has all that is ours, as inputs of the sender's own card arrive beside it."""

_DELIVERY, _OPTION, _DRAWN = "delivery", "option", "drawn"


@dataclass(frozen=True)
class Click:
    """What the button that somebody clicked says: any client can make up one of these.

    ``drawn`` is how often the person of the delivery had answered when the card was drawn.
    """

    delivery_id: str
    option: str
    drawn: int

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in the data of a button."""
        return {_CLICK: {_DELIVERY: self.delivery_id, _OPTION: self.option, _DRAWN: self.drawn}}


def clicked(value: object) -> Click | None:
    """Return the click that the data of a button tells of; None where the button is not ours.

    ``value`` is the data as an object, or as the JSON of one.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    own = value.get(_CLICK) if isinstance(value, dict) else None
    if not isinstance(own, dict):
        return None
    delivery_id, option, drawn = own.get(_DELIVERY), own.get(_OPTION), own.get(_DRAWN)
    # Some clients make texts of numbers.
    if isinstance(drawn, str) and drawn.isascii() and drawn.isdecimal() and len(drawn) < 10:
        drawn = int(drawn)
    if not (isinstance(delivery_id, str) and delivery_id and isinstance(option, str) and option):
        return None
    if not isinstance(drawn, int) or isinstance(drawn, bool) or drawn < 0:
        return None
    return Click(delivery_id, option, drawn)
