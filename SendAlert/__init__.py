"""Sends one alert to its whole audience; follows, edits and recalls it."""
