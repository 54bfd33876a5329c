"""The proactive send of the Microsoft 365 Agents SDK for Python, as its samples do it.

It runs in a venv of its own, where nothing of this project is but what stands beside this file.
"""

import asyncio
import os

from azure.data.tables.aio import TableClient
from microsoft_agents.activity import Activity, ConversationReference
from microsoft_agents.authentication.msal import MsalConnectionManager
from microsoft_agents.hosting.aiohttp import CloudAdapter
from microsoft_agents.hosting.core import AgentAuthConfiguration, AuthTypes, TurnContext

from benchmarks.contenders.worker import SendAll
from benchmarks.messages import (
    APP_ID,
    CHANNEL_ID,
    REFERENCES,
    STORAGE,
    TENANT_ID,
    THREADS,
    activity,
    user_id,
)


class _Agent:
    def __init__(self) -> None:
        connection = AgentAuthConfiguration(
            auth_type=AuthTypes.user_managed_identity, client_id=APP_ID, tenant_id=TENANT_ID
        )
        self._adapter = CloudAdapter(
            connection_manager=MsalConnectionManager(
                connections_configurations={"SERVICE_CONNECTION": connection},
                connections_map=[{"CONNECTION": "SERVICE_CONNECTION", "SERVICEURL": "*"}],
            )
        )
        # By default only the user is told that something failed.
        self._adapter.on_turn_error = _raise
        self._references = TableClient.from_connection_string(os.environ[STORAGE], REFERENCES)

    async def send_all(self, batch: str, count: int) -> None:
        """Send with as many in flight as the others have threads."""
        users = iter(range(count))

        async def work_off() -> None:
            for user in users:
                await self._send(batch, user)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(THREADS, count)):
                tasks.create_task(work_off())

    async def _send(self, batch: str, user: int) -> None:
        row = await self._references.get_entity(CHANNEL_ID, user_id(user))
        reference = ConversationReference.model_validate_json(row["reference"])
        message = Activity.model_validate(activity(batch, user))

        async def talk(context: TurnContext) -> None:
            sent = await context.send_activity(message)
            assert sent is not None
            assert sent.id

        await self._adapter.continue_conversation(
            APP_ID, reference.get_continuation_activity(), talk
        )


async def _raise(_context: TurnContext, error: Exception) -> None:
    raise error


def contender() -> SendAll:
    """Return what sends, on one loop, which stands still between the batches."""
    runner = asyncio.Runner()

    # Its clients belong to a running loop.
    async def start() -> _Agent:
        return _Agent()

    agent = runner.run(start())
    return lambda batch, count: runner.run(agent.send_all(batch, count))
