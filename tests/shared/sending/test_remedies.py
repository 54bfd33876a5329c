"""What the Connector refuses, and what is mended then."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from SendActivity.request import SendRequest
from SendActivity.service import send_activity
from shared.accounts.conversations import Conversation
from shared.auth.clouds import PUBLIC
from shared.connector.errors import ConnectorError
from shared.deliveries.delivery import Status
from shared.errors import UnknownConversationError
from shared.messages.queue_names import START_CONVERSATION, UPDATE_ACTIVITY
from tests.shared.sending.person import BOT, NEWS, activities_of, paths
from tests.support.builders import unique
from tests.support.connector import is_send, is_start
from tests.support.waiting import PATIENCE_SECONDS
from tests.support.worker import Worker

# 404 ConversationNotFound


@pytest.mark.parametrize("by_old_id", [False, True], ids=["to the person", "by the old id"])
def test_a_conversation_that_is_gone_is_started_again_once_and_the_message_sent(
    worker, alex, connector, by_old_id
):
    if by_old_id:
        # It reaches the person though their account does not know it.
        conversation = alex.services.conversations.find(alex.first_id)
        alex.change(conversation=None)
        alex.services.conversations.put(conversation)
    connector.fail(404, "ConversationNotFound", when=is_send)

    delivery = worker.send(alex.to_first if by_old_id else alex.message)

    assert paths(connector) == [activities_of(alex.first_id), "", activities_of(alex.next_id)]
    assert (delivery.status, delivery.activity_id) == (Status.SENT, "activity-1")
    assert (delivery.recreated, delivery.attempts) == (True, 3)
    assert delivery.destination.conversation_id == alex.next_id
    # The old id goes on reaching the person.
    later = worker.send(alex.to_first)
    assert (later.status, later.recreated) == (Status.SENT, False)
    assert paths(connector)[-1] == activities_of(alex.next_id)


def test_a_conversation_that_was_started_since_is_not_forgotten_until_it_is_gone_too(
    worker, alex, connector
):
    """Teams gives the same id again: what is told late is told of the one before."""
    connector.fail(404, "ConversationNotFound", times=2, when=is_send)
    connector.set_conversation_id(alex.user_id, alex.first_id)
    connector.block(times=1)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(worker.handle, {**alex.message, **NEWS, "id": "order-7"})
        connector.wait_for_waiting(1)
        alex.change(conversation=None)
        worker.handle(alex.start, START_CONVERSATION)
        connector.release()
        sent.result(PATIENCE_SECONDS)

    assert alex.account.conversation_id == alex.first_id
    worker.run()
    first = activities_of(alex.first_id)
    assert paths(connector) == [first, "", first, "", first]
    assert worker.services.deliveries.find("order-7").status is Status.SENT


def test_a_conversation_that_is_gone_again_fails(worker, alex, connector):
    connector.fail_always(404, "ConversationNotFound", when=is_send)

    delivery = worker.send(alex.message)

    assert paths(connector) == [activities_of(alex.first_id), "", activities_of(alex.next_id)]
    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "ConversationNotFound")
    assert (delivery.recreated, delivery.attempts) == (True, 3)
    assert worker.waits() == worker.waits(START_CONVERSATION) == 0


def test_the_person_stays_though_the_conversation_goes(worker, alex, connector):
    before = alex.account
    connector.fail_always(404, "ConversationNotFound", when=is_send)
    connector.fail_always(502, "ServiceError", when=is_start)

    worker.handle({**alex.message, **NEWS})

    assert alex.account == replace(
        before, conversation=None, former_conversation_ids=(alex.first_id,)
    )


def test_over_http_nothing_is_mended_and_the_caller_told(alex, services, connector):
    before = alex.account
    connector.fail(404, "ConversationNotFound", when=is_send)

    with pytest.raises(ConnectorError):
        send_activity(SendRequest.from_json({**alex.message, **NEWS}), services)

    assert alex.account == before
    assert len(connector.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(404, "ConversationNotFound"), (403, "BotNotInConversationRoster")]
)
def test_of_a_group_nothing_is_mended_and_nobody_marked(worker, services, connector, status, code):
    group = Conversation("19:group", "msteams", f"{connector.url}/amer/", is_group=True, bot=BOT)
    services.conversations.put(group)
    connector.fail_always(status, code)

    deliveries = [worker.send({"conversationId": "19:group"}) for _ in range(2)]

    assert [each.code for each in deliveries] == [code] * 2
    assert len(connector.requests) == 2
    assert services.conversations.find("19:group") == group


def test_a_start_that_says_something_is_mended_as_well(worker, alex, connector):
    connector.fail(404, "ConversationNotFound", when=is_send)

    worker.handle({**alex.start, **NEWS}, START_CONVERSATION, message_id="start-1")
    worker.run()

    assert paths(connector) == [activities_of(alex.first_id), ""]
    assert connector.requests[1].json["activity"]["text"] == "News"
    delivery = worker.services.deliveries.find("start-1")
    assert (delivery.status, delivery.recreated, delivery.attempts) == (Status.SENT, True, 2)


# 403 InvalidBotApiHost


def hosts(connector):
    return [request.path.partition("/v3/")[0] for request in connector.requests]


def test_the_government_community_is_reached_by_its_own_service_url(worker, alex, connector):
    connector.fail(403, "InvalidBotApiHost", when=lambda request: "/amer/" in request.path)

    deliveries = [worker.send(each) for each in (alex.message, alex.to_first)]

    assert [each.status for each in deliveries] == [Status.SENT] * 2
    assert hosts(connector) == ["/amer", "/gcc", "/gcc"]
    assert alex.account.service_url == f"{connector.url}/gcc/"
    moved = worker.services.conversations.find(alex.first_id)
    assert (moved.bot, moved.user_id, moved.tenant_id) == (BOT, alex.user_id, "tenant")
    assert deliveries[0].attempts == 2


def test_a_start_goes_by_the_service_url_of_the_government_community(worker, connector):
    user_id = unique("29:sam")
    connector.fail(403, "InvalidBotApiHost", when=lambda request: "/teams/" in request.path)

    delivery = worker.send({"recipient": {"channelId": "msteams", "userId": user_id}})

    assert delivery.status is Status.SENT
    assert hosts(connector) == ["/teams", "/gcc", "/gcc"]


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_service_url_that_is_wrong_a_second_time_or_not_trusted_is_a_failure(
    services, worker, queue_reader, alex, connector, is_trusted
):
    if not is_trusted:
        cloud = replace(PUBLIC, community_service_url="https://gcc.example/teams")
        settings = replace(services.settings, cloud=cloud)
        worker = Worker(replace(services, settings=settings), queue_reader)
    connector.fail_always(403, "InvalidBotApiHost")

    delivery = worker.send(alex.message)

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "InvalidBotApiHost")
    assert hosts(connector) == (["/amer", "/gcc"] if is_trusted else ["/amer"])
    assert alex.account.service_url == f"{connector.url}/{'gcc' if is_trusted else 'amer'}/"
    assert worker.waits() == 0


# Of an edit or a recall


def edit(worker, alex):
    """Have an edit in the person's first conversation handled; return its record."""
    body = {**alex.to_first, "activityId": "7", **NEWS}
    return worker.services.deliveries.find(worker.handle(body, UPDATE_ACTIVITY))


def test_an_edit_where_the_conversation_is_gone_mends_nothing(worker, alex, connector):
    before = alex.account
    connector.fail_always(404, "ConversationNotFound")

    delivery = edit(worker, alex)

    assert (delivery.status, delivery.code) == (Status.PERMANENT_FAILURE, "ConversationNotFound")
    assert (delivery.attempts, delivery.recreated) == (1, False)
    assert alex.account == before
    assert worker.waits(UPDATE_ACTIVITY) == worker.waits(START_CONVERSATION) == 0


@pytest.mark.parametrize("has_left", [False, True])
def test_an_edit_that_is_refused_marks_a_person_who_is_still_there(
    worker, alex, connector, has_left
):
    if has_left:
        alex.change(conversation=None, former_conversation_ids=(alex.first_id,))
    connector.fail(403, "BotNotInConversationRoster")

    assert edit(worker, alex).status is Status.PERMANENT_FAILURE

    assert alex.account.installed is (None if has_left else False)


# Of a person who was forgotten


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (201, "none: the probe reaches them"),
        (403, "MessageWritesBlocked"),
        (404, "ConversationNotFound"),
        (403, "InvalidBotApiHost"),
    ],
)
def test_nobody_comes_back_who_was_forgotten_in_the_middle_of_a_call(
    worker, blocked, services, connector, status, code
):
    if status != 201:
        connector.fail_always(status, code)
    connector.block(times=1)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(worker.handle, {**blocked.message, **NEWS})
        connector.wait_for_waiting(1)
        services.accounts.erase("msteams", blocked.user_id)
        connector.release()
        sent.result(PATIENCE_SECONDS)

    assert services.accounts.get("msteams", blocked.user_id) is None


def test_a_conversation_of_long_ago_leads_to_nobody_any_more(alex, services):
    ids = [unique("a:old") for _ in range(21)]
    for each in ids:
        services.conversations.put(Conversation(each, "msteams", "https://x", user_id=alex.user_id))
        services.accounts.change_or_make(
            "msteams", alex.user_id, lambda stored, left=each: stored.account.having_left(left)
        )

    with pytest.raises(UnknownConversationError):
        services.conversations.find(ids[0])
    assert services.conversations.find(ids[1]).user_id == alex.user_id
