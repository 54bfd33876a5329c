"""The people that the bot can reach: their accounts, conversations, preferences and erasure."""
