"""The client of the Bot Connector, and what its answers mean."""
