"""What a button of an alert says, and so what a click on it brings back."""

import json
import re
from dataclasses import dataclass
from typing import Any

from shared.deliveries.rows import member_of

_CLICK = "_answer"
"""One object has all that is ours, as inputs of the sender's own card arrive beside it."""

_DELIVERY, _OPTION, _DRAWN = "delivery", "option", "drawn"
_POST_BACK = re.compile(r"\?([\w-]{1,32}):(\d{1,9}):(.+)", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Click:
    """What the button that somebody clicked says: any client can make up one of these.

    ``drawn`` is how often the person of the delivery had answered when the card was drawn. The
    ``delivery_id`` ends in a colon where the id of the person's key is left out: it is that of
    whoever clicked.
    """

    delivery_id: str
    option: str
    drawn: int

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in the data of an action."""
        return {_CLICK: {_DELIVERY: self.delivery_id, _OPTION: self.option, _DRAWN: self.drawn}}

    def to_post_back(self, longest: int) -> str | None:
        """Return it as the value of a hero card's button; None where it has no room there.

        Where it is too long, the id of the person's key is left out.
        """
        start = f"?{self.option}:{self.drawn}:"
        values = [start + self.delivery_id]
        key_id = member_of(self.delivery_id)
        if not key_id.startswith("r"):
            values.append(values[0].removesuffix(key_id))
        return next((each for each in values if len(each) <= longest), None)


def clicked(value: object) -> Click | None:
    """Return the click that the data of a button tells of; None where the button is not ours.

    ``value`` is the data as an object, the JSON of one, or the value of a hero card's button.
    """
    if isinstance(value, str):
        post_back = _POST_BACK.fullmatch(value.strip())
        if post_back is not None:
            option, drawn, delivery_id = post_back.groups()
            return Click(delivery_id, option, int(drawn))
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
