"""The one auth and token module: clouds, trusted service URLs, and the bot's own token.

The bot's token is asked for in ``tokens`` and goes only to what ``service_urls`` trusts; ``clouds``
says what differs between Microsoft's clouds.
"""
