from shared.accounts.account import Account, OneToOne
from shared.accounts.rows import from_row
from shared.storage.personal_keys import PersonalKey
from shared.wire_models import ChannelAccount

BOT = ChannelAccount(id="28:bot", name="News")
# A row as it was written when an account had a conversation for each id of the bot.
OLD_ROW = {
    "PartitionKey": "hash",
    "RowKey": "account",
    "appId": "app",
    "channelId": "msteams",
    "userId": "29:alex",
    "bot": '{"id":"28:bot","name":"News"}',
    "serviceUrl": "https://smba.trafficmanager.net/teams/",
    "conversations": '{"28:bot":{"id":"a:1","conversation_type":"personal","activity_id":"7"},'
    '"bot":{"id":"a:2","conversation_type":null,"activity_id":null},'
    '"+49":{"id":"a:3","conversation_type":null,"activity_id":null}}',
    "formerConversationIds": '["a:0"]',
    "keyId": "key-1",
    "key": b"k" * 32,
    "formerKeyIds": '["key-0"]',
}


def test_an_old_row_is_read_with_the_conversation_of_the_accounts_own_bot():
    assert from_row(OLD_ROW) == Account(
        "msteams",
        "29:alex",
        bot=BOT,
        service_url="https://smba.trafficmanager.net/teams/",
        conversation=OneToOne("a:1", "personal", "7"),
        former_conversation_ids=("a:0", "a:2", "a:3"),
        key=PersonalKey("key-1", b"k" * 32),
        former_key_ids=("key-0",),
    )


def test_the_conversation_of_an_old_row_is_the_one_that_fits_best_or_the_latest():
    others = (
        '{"%s":{"id":"a:1","conversation_type":null,"activity_id":null},'
        '"+49":{"id":"a:2","conversation_type":null,"activity_id":null}}'
    )
    for bot_id, found in (("bot", "a:1"), ("28:other", "a:2"), ("", "a:2")):
        row = {**OLD_ROW, "conversations": others % bot_id}
        assert from_row(row).conversation == OneToOne(found)
    unknown_bot = {**OLD_ROW, "conversations": others % ""}
    del unknown_bot["bot"]
    assert from_row(unknown_bot).conversation == OneToOne("a:1")
