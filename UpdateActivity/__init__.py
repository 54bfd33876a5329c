"""Puts another activity in the place of one that was sent."""
