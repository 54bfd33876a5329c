"""The app, as it is imported in this process."""

from functools import cache
from typing import Any

import function_app


@cache
def app_functions() -> list[Any]:
    """The functions of the app: azure-functions lists them once in a process, and raises then."""
    return list(function_app.app.get_functions())
