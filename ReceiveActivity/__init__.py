"""The bot's messaging endpoint: caches who talks with the bot, and follows their commands."""
