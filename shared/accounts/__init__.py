"""The cache of accounts: who can be reached on a channel, how, and in what language.

Table ``accounts``, a row for each person on each channel. PartitionKey: the hash of the bot's app
id, the channel's id and the user's id, so that rows spread evenly and one look-up by key finds all
that a message needs; RowKey: ``account``. The ids themselves are properties. The row also holds
the person's one-to-one conversations with the bot, by the id of the bot's account: a bot can have
several on one channel, such as phone numbers.

On Teams a person has two ids, ``29:…`` and the Entra object id. The account stands under the first;
under the second stands a row that points to it (``pointsTo``), so that both ids find one account.
An account that was made under the object id, before the other was known, is joined to it.
"""

from shared.accounts.account import Account, OneToOne
from shared.accounts.cache import AccountCache, Scanned, StoredAccount

__all__ = ["Account", "AccountCache", "OneToOne", "Scanned", "StoredAccount"]
