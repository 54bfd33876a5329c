"""Alex, with whom conversations are started, and what is cached of them."""

from shared.accounts.account import Account

ALEX = {"id": "29:alex", "name": "Alex"}


def know(services, **fields):
    """Cache an account of Alex."""
    account = Account("msteams", "29:alex", **fields)
    services.accounts.change_or_make("msteams", "29:alex", lambda _stored: account)


def cached(services, channel_id="msteams", user_id="29:alex"):
    stored = services.accounts.get(channel_id, user_id)
    return stored and stored.account
