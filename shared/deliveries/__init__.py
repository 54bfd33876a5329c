"""The record of each message: claimed before its call, written after it, kept when it failed."""
