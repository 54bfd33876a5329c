"""Starts a conversation on a channel and remembers it."""
