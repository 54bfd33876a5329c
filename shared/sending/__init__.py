"""Saying something on a channel: to whom, in its turn, and what the answer teaches."""
