"""The one auth and token module: clouds, trusted service URLs, the bot's token, the Connector's.

The bot's token is asked for in ``tokens`` and goes only to what ``service_urls`` trusts;
``inbound`` tells whether it is the Connector that calls; ``clouds`` says what differs between
Microsoft's clouds.
"""
