"""Alerts: who they are for, what they say to each person, and how far they are."""
