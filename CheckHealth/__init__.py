"""Tells whether the app can do its work."""
