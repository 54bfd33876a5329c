"""Alerts: what one is, how far it is, and what it says to each person.

Table ``alerts``, a row for each alert. PartitionKey: the hash of the bot's app id and the alert's
id; RowKey: ``alert``. The row says whom the alert is for and how far it is; what it says is kept
aside (``bodies``), under another key after each edit, and so are the recipients, if it names any.

Table ``pages``, a row for each page of an alert's audience. PartitionKey: that of the alert;
RowKey: the page's number. It names the members of the page, by the ids of their keys, before the
first of them is sent anything: so a page that is read twice has the same members. When all of them
have ended, it has their counts.
"""

from shared.alerts.alert import Alert, AlertStatus, Audience
from shared.alerts.content import Content
from shared.alerts.pages import AlertPage, AlertPages, PageCounts
from shared.alerts.store import KNOWLEDGE_HOLDS, Alerts

__all__ = [
    "KNOWLEDGE_HOLDS",
    "Alert",
    "AlertPage",
    "AlertPages",
    "AlertStatus",
    "Alerts",
    "Audience",
    "Content",
    "PageCounts",
]
