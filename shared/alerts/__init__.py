"""Alerts: what one is, for whom, how far it is, and what it says to each person."""
