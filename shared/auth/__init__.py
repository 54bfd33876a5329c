"""Auth and tokens, in one place: the bot's token, where it may go, and who may call the bot.

The bot's token is asked for in ``tokens`` and goes only to what ``service_urls`` trusts;
``inbound`` tells whether it is the Connector that calls; ``clouds`` says what differs between
Microsoft's clouds.
"""
