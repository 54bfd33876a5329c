import pytest

from shared.accounts.account import Account, OneToOne
from tests.SendActivity.sending import BOT


@pytest.fixture
def know(services, connector):
    """Caches an account of Alex, with a conversation."""

    def run(**fields):
        account = Account(
            "msteams",
            "29:alex",
            **{
                "bot": BOT,
                "service_url": f"{connector.url}/amer/",
                "conversation": OneToOne("a:1"),
                **fields,
            },
        )
        services.accounts.change_or_make("msteams", "29:alex", lambda _stored: account)

    return run
