"""Tells what became of each message, puts back failed ones, and removes old records."""
