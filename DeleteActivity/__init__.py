"""Deletes an activity that was sent."""
