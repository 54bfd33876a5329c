"""The people whom the bot can reach: their accounts, conversations, wishes and erasure."""
