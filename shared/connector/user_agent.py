"""The name and version that the Connector sees in our requests."""

NAME = "speak-first"
VERSION = "0.1.0"
USER_AGENT = f"{NAME}/{VERSION}"
