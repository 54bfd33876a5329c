"""No contender, but run like one: sends everybody an alert with buttons, to be clicked on."""

from benchmarks.contenders.alert import alert_to_everybody
from benchmarks.contenders.worker import SendAll
from benchmarks.messages import OPTIONS


def contender() -> SendAll:
    """Return what sends, once all that it needs is loaded."""
    options = [{"id": each, "title": each.capitalize()} for each in OPTIONS]
    return alert_to_everybody(answers={"options": options, "mode": "each"})
