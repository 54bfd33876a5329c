"""The bot's messaging endpoint: learns who talks with the bot, and heeds what they want."""
