"""The app, as it is imported in this process, and the settings that it reads."""

import re
from collections import UserDict
from functools import cache
from typing import Any

import function_app
from shared.settings import STORAGE, Settings


@cache
def app_functions() -> list[Any]:
    """The functions of the app: azure-functions lists them once in a process, and raises then."""
    return list(function_app.app.get_functions())


class _Asked(UserDict[str, str]):
    """An environment that notes which names it was asked for."""

    def __init__(self, **values: str) -> None:
        self.names: set[str] = set()
        super().__init__(values)

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


def settings_in_code() -> set[str]:
    """The settings that the code reads, but for those that the host and the machine set."""
    storage = {f"{STORAGE}__accountName": "news"}
    environment = _Asked(MicrosoftAppId="bot", MicrosoftAppPassword="invented", **storage)
    Settings.from_environment(environment)
    others = re.compile("WEBSITE_|AZURE_FUNCTIONS_ENVIRONMENT|.*_PROXY$", re.IGNORECASE)
    return {name for name in environment.names if not others.match(name)}
