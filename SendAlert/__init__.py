"""Sends one alert to everybody whom it concerns; follows, edits and recalls it."""
