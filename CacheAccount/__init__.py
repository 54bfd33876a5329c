"""Keeps accounts and preferences, for bots whose messaging endpoint lives elsewhere."""
