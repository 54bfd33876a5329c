"""Tells what became of each message, puts back what failed, and removes what is old."""
