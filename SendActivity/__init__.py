"""Sends one activity into a known conversation."""
