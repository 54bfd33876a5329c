"""Saying something on a channel: where to, in its turn, and what the answer teaches."""
