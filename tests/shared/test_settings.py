import logging
import os

import pytest

from ReceiveEvent.formats import FORMATS
from shared.auth.tokens import AppType
from shared.errors import InvalidSettingError
from shared.settings import SENDERS, Settings

APP_ID = "11111111-0000-4000-8000-000000000001"
TENANT_ID = "22222222-0000-4000-8000-000000000002"


STORAGE = "AzureWebJobsStorage"


# The least that a bot in Azure needs.
DEPLOYED = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "MicrosoftAppId": APP_ID}
# The least that a bot on a developer's machine needs.
DEVELOPMENT = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
}
SINGLE_TENANT = {
    **DEPLOYED,
    "MicrosoftAppType": "SingleTenant",
    "MicrosoftAppTenantId": TENANT_ID,
    "MicrosoftAppPassword": "invented-password",
}


OPTIONAL = (
    *("BotCloud", "MicrosoftAppType", "DefaultChannelId", "DefaultLocale", "DefaultServiceUrl"),
    *("ConnectorTimeoutSeconds", "SendRatePerSecond", "AmbiguousSend", "BlockedProbeDays"),
    *("DeliveryRetentionDays", "Topics", "AnswersPeople", "TrustedServiceUrls", "HTTPS_PROXY"),
)


def read(environment, **changes):
    return Settings.from_environment({**environment, **changes})


def refusal(environment, **changes):
    with pytest.raises(InvalidSettingError) as caught:
        read(environment, **changes)
    return caught.value


@pytest.mark.parametrize("environment", [DEPLOYED, {**dict.fromkeys(OPTIONAL, " "), **DEPLOYED}])
def test_what_is_not_set_or_blank_has_a_default(environment):
    settings = read(environment)

    assert settings.cloud.name == "Public"
    assert settings.app_id == APP_ID
    assert settings.default_channel_id == "msteams"
    assert settings.default_locale == "en"
    assert (settings.connector_timeout_seconds, settings.lease_seconds) == (15, 25)
    assert settings.use_proxy is False
    assert settings.credential.app_type is AppType.USER_ASSIGNED_MSI
    assert settings.send_rate_per_second == 40
    assert settings.give_up_ambiguous is False
    assert (settings.blocked_probe_days, settings.delivery_retention_days) == (7, 30)
    assert (settings.topics, settings.answers_people) == ((), True)


def test_what_is_set_is_taken_without_the_spaces_around_it():
    settings = read(
        DEPLOYED,
        MicrosoftAppId=f" {APP_ID}\n",
        BotCloud="usgov",
        SendRatePerSecond="12.5",
        AmbiguousSend="giveup",
        BlockedProbeDays="0",
        DeliveryRetentionDays="1.5",
        Topics=" Deep sea, Ferries,,ferries",
        AnswersPeople="False",
    )

    assert (settings.app_id, settings.cloud.name) == (APP_ID, "USGov")
    assert settings.send_rate_per_second == 12.5
    assert settings.give_up_ambiguous is True
    assert (settings.blocked_probe_days, settings.delivery_retention_days) == (0, 1.5)
    assert (settings.topics, settings.answers_people) == (("Deep sea", "Ferries"), False)


def test_how_much_a_channel_takes_can_be_set_for_each():
    for value, teams, slack in [
        ("", 100, 256),
        ("msteams=28", 28, 256),
        (" msteams = 80 ,slack=40,", 80, 40),
    ]:
        settings = read(DEPLOYED, LargestActivityKilobytes=value)
        assert settings.largest_activity_bytes("msteams") == teams * 1024
        assert settings.largest_activity_bytes("slack") == slack * 1024


def test_each_sender_whose_format_is_known_may_have_secrets():
    assert set(SENDERS) == FORMATS.keys()


def test_a_sender_may_have_several_secrets_or_none():
    for value, secrets in [
        ("", {}),
        ("azure-monitor=", {"azure-monitor": ("",)}),
        (
            " github = a=b== ,generic=c, github=d,",
            {"github": ("a=b==", "d"), "generic": ("c",)},
        ),
    ]:
        assert read(DEPLOYED, WebhookSecrets=value).webhook_secrets == secrets


def test_the_environment_is_read_when_asked_and_not_before(monkeypatch):
    for name, value in {**DEPLOYED, "DefaultLocale": "fr"}.items():
        monkeypatch.setenv(name, value)

    assert Settings.from_environment().default_locale == "fr"
    monkeypatch.setitem(os.environ, "DefaultLocale", "nl")
    assert Settings.from_environment().default_locale == "nl"


NUMBER = "must be a number from "
URL = "must be a plain https URL"
ORIGINS = "must be origins such as"
KILOBYTES = "must be channels with KB such as"
TOPICS = "must be at most 50 topics, comma separated, of at most 200 characters each"
SECRETS = "must be senders with their secrets such as"
WRONG = [
    ("BotCloud", "must be one of Public, USGov, China", "Mars"),
    ("MicrosoftAppType", "must be one of UserAssignedMSI, SingleTenant, MultiTenant", "Password"),
    ("ConnectorTimeoutSeconds", NUMBER + "1 to 100", "soon", "0", "101", "nan"),
    ("PYTHON_THREADPOOL_THREAD_COUNT", NUMBER + "1 to 1024", "0"),
    ("SendRatePerSecond", NUMBER + "0.1 to 100000", "0"),
    ("BlockedProbeDays", NUMBER + "0 to 3650", "-1"),
    ("DeliveryRetentionDays", NUMBER + "1 to 3650", "0"),
    ("ToChannelFromBotLoginUrl", URL, "http://login.example", "login.example"),
    ("ToChannelFromBotLoginUrl", URL, "http://127.0.0.1:1"),
    ("ToChannelFromBotOAuthScope", URL, "http://api.example"),
    ("ToBotFromChannelOpenIdMetadataUrl", URL, "http://login.example"),
    ("ToBotFromChannelTokenIssuer", URL, "http://issuer.example"),
    ("DefaultServiceUrl", URL, "smba.trafficmanager.net"),
    ("DefaultServiceUrl", "is not a service URL", "https://elsewhere.example/"),
    ("TrustedServiceUrls", ORIGINS, "http://connector.example", "https://connector.example/path"),
    ("TrustedServiceUrls", ORIGINS, "https://ok.example, *.example"),
    ("AmbiguousSend", "must be one of resend, giveUp", "maybe"),
    ("LargestActivityKilobytes", KILOBYTES, "317", "msteams=0", "msteams=1,slack=x"),
    ("Topics", TOPICS, ",".join(map(str, range(51))), "x" * 201),
    ("AnswersPeople", "must be one of true, false", "no"),
    ("WebhookSecrets", SECRETS, "hunter2", "github=one,hunter2=", "GitHub=hunter2"),
    ("WebhookSecrets", "names the sender two; known are alertmanager, ", "github=one,two=hunter2"),
    ("WebhookSecrets", "has a secret for alertmanager, which cannot", "alertmanager=hunter2"),
    ("DefaultChannelId", "must be 1 to 64 letters, digits and - _", "ms teams"),
    ("DefaultLocale", "must be 1 to 64 letters, digits and -", "en_US"),
]


def test_a_wrong_setting_fails_with_its_name_and_what_it_should_be():
    for setting, expected, *values in WRONG:
        for value in values:
            error = refusal(DEPLOYED, **{setting: value})

            assert error.setting == setting
            assert str(error).startswith(f"Setting {setting}: {expected}"), value
            assert value not in str(error).removeprefix(f"Setting {setting}: {expected}")
            assert "hunter2" not in str(error)


# No credential


@pytest.mark.parametrize(
    ("environment", "changes", "setting"),
    [
        (DEVELOPMENT, {"AZURE_FUNCTIONS_ENVIRONMENT": ""}, "MicrosoftAppId"),
        (DEVELOPMENT, {"AZURE_FUNCTIONS_ENVIRONMENT": "Production"}, "MicrosoftAppId"),
        (DEVELOPMENT, {"WEBSITE_SITE_NAME": "my-app"}, "MicrosoftAppId"),
        (DEVELOPMENT, {"WEBSITE_INSTANCE_ID": "0123"}, "MicrosoftAppId"),
        (SINGLE_TENANT, {"MicrosoftAppTenantId": ""}, "MicrosoftAppTenantId"),
        ({"MicrosoftAppId": APP_ID}, {}, STORAGE),
        ({"MicrosoftAppId": APP_ID}, {f"{STORAGE}__tableServiceUri": "https://t.x"}, STORAGE),
        ({"MicrosoftAppId": APP_ID}, {f"{STORAGE}__queueServiceUri": "https://t.x"}, STORAGE),
        # An identity goes to storage by https only.
        (
            {"MicrosoftAppId": APP_ID},
            {f"{STORAGE}__tableServiceUri": "http://t.x"},
            f"{STORAGE}__tableServiceUri",
        ),
    ],
)
def test_what_is_needed_and_missing_is_named(environment, changes, setting):
    assert refusal(environment, **changes).setting == setting


@pytest.mark.parametrize("app_id", ["", APP_ID])
def test_without_an_app_id_there_is_no_credential_and_only_this_machine_is_trusted(app_id):
    settings = read(DEVELOPMENT, MicrosoftAppId=app_id, TrustedServiceUrls="https://x.example")

    assert (settings.credential is not None) == bool(app_id)
    accepts = settings.trusted_service_urls.accepts
    assert accepts("http://127.0.0.1:4010") == (not app_id)
    assert accepts("https://x.example") == bool(app_id)
    assert accepts("https://smba.trafficmanager.net/teams/") == bool(app_id)


# The credential


@pytest.mark.parametrize(
    ("app_type", "changes", "tenant_id"),
    [
        ("SingleTenant", {}, TENANT_ID),
        ("MultiTenant", {"BotCloud": "Public"}, "botframework.com"),
        ("MultiTenant", {"BotCloud": "USGov"}, "MicrosoftServices.onmicrosoft.us"),
        ("MultiTenant", {"BotCloud": "China"}, "microsoftservices.partner.onmschina.cn"),
    ],
)
def test_a_bot_asks_in_its_own_tenant_or_in_that_of_its_cloud(app_type, changes, tenant_id):
    assert read(SINGLE_TENANT, MicrosoftAppType=app_type, **changes).credential.tenant_id == (
        tenant_id
    )


@pytest.mark.parametrize("end", ["", "/", "/a-tenant", "/a-tenant/", "/a-tenant/oauth2/v2.0/token"])
def test_the_login_url_may_carry_the_tenant_as_the_bot_framework_writes_it(end):
    login_url = f"https://login.example{end}"
    changes = {"MicrosoftAppType": "MultiTenant", "ToChannelFromBotLoginUrl": login_url}
    credential = read(SINGLE_TENANT, **changes).credential

    assert credential.login_url == "https://login.example"
    assert credential.tenant_id == ("a-tenant" if "a-tenant" in end else "botframework.com")


@pytest.mark.parametrize("scope", ["https://api.example", "https://api.example/.default"])
def test_the_scope_may_be_given_with_or_without_its_end(scope):
    credential = read(SINGLE_TENANT, ToChannelFromBotOAuthScope=scope).credential

    assert credential.scope == "https://api.example/.default"


PROOFS = {
    "MicrosoftAppPassword": "password",
    "MicrosoftAppCertificatePath": "certificate_path",
    "MicrosoftAppFederatedClientId": "federated_client_id",
}


def test_a_bot_that_is_no_managed_identity_needs_one_thing_to_prove_itself_with():
    without = {**SINGLE_TENANT, "MicrosoftAppPassword": ""}
    for app_type in ("SingleTenant", "MultiTenant"):
        error = refusal(without, MicrosoftAppType=app_type)
        assert error.setting == "MicrosoftAppPassword"
        assert all(setting in str(error) for setting in PROOFS)
    for setting, field in PROOFS.items():
        credential = read(without, **{setting: "proof"}).credential
        assert {name: getattr(credential, name) for name in PROOFS.values()} == {
            **dict.fromkeys(PROOFS.values(), ""),
            field: "proof",
        }


def test_nothing_secret_is_in_what_settings_print(caplog):
    secrets = {
        "AzureWebJobsStorage": "AccountName=a;AccountKey=c2VjcmV0LWtleQ==",
        "MicrosoftAppPassword": "secret-password",
        "MicrosoftAppCertificatePath": "/secret-path/bot.pem",
        "WebhookSecrets": "github=secret-of-github",
    }
    settings = read({**SINGLE_TENANT, **secrets})

    logging.getLogger("test").warning("%s %r", settings, settings)

    assert APP_ID in caplog.text
    for secret in ("c2VjcmV0LWtleQ", "secret-password", "secret-path", "secret-of-github"):
        assert secret not in caplog.text


# Service URLs and the bot's id


def test_a_channel_that_told_no_service_url_yet_has_a_default_one():
    gcc = "https://smba.infra.gcc.teams.microsoft.com/teams"
    local = {
        "DefaultServiceUrl": "http://localhost:4010/base",
        "TrustedServiceUrls": "https://x.example, http://localhost:4010/ ,",
    }
    for changes, channel_id, service_url in [
        ({}, "msteams", "https://smba.trafficmanager.net/teams/"),
        ({}, "webchat", "https://webchat.botframework.com/"),
        ({"BotCloud": "USGov"}, "msteams", "https://smba.infra.gov.teams.microsoft.us/teams"),
        ({"BotCloud": "China"}, "msteams", "https://msteams.botframework.azure.cn/"),
        ({"DefaultServiceUrl": gcc}, "msteams", gcc),
        (local, "sms", "http://localhost:4010/base"),
    ]:
        assert read(DEPLOYED, **changes).service_url(channel_id) == service_url


def test_the_bot_is_known_by_its_app_id_in_the_form_of_the_channel():
    settings = read(DEPLOYED)

    assert settings.bot_id("msteams") == f"28:{APP_ID}"
    assert settings.bot_id("webchat") == APP_ID
    assert read(DEVELOPMENT).bot_id("msteams") == ""


# Storage


@pytest.mark.parametrize(
    ("text", "table_url", "queue_url"),
    [
        (
            "UseDevelopmentStorage=true",
            "http://127.0.0.1:10002/devstoreaccount1",
            "http://127.0.0.1:10001/devstoreaccount1",
        ),
        (
            "DefaultEndpointsProtocol=https;AccountName=news;AccountKey=a2V5;EndpointSuffix=core.windows.net",
            "https://news.table.core.windows.net",
            "https://news.queue.core.windows.net",
        ),
        (
            "AccountName=news;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn;",
            "https://news.table.core.chinacloudapi.cn",
            "https://news.queue.core.chinacloudapi.cn",
        ),
        (
            (
                "tableendpoint=https://t.example/;QueueEndpoint=https://q.example;"
                "SharedAccessSignature=?sv=2020&sig=a%3D"
            ),
            "https://t.example/",
            "https://q.example",
        ),
    ],
    ids=["Azurite", "key", "cloud", "signature"],
)
def test_a_connection_string_says_where_storage_is(text, table_url, queue_url):
    storage = read({**DEPLOYED, "AzureWebJobsStorage": text}).storage

    assert (storage.table_service_url, storage.queue_service_url) == (table_url, queue_url)
    assert storage.key or storage.shared_access_signature == "sv=2020&sig=a%3D"
    assert storage.key + storage.shared_access_signature not in repr(storage)


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "AccountName=news;AccountKey",
        "AccountName=news;AccountKey=secret!==",
        "DefaultEndpointsProtocol=https;AccountName=news",
        "BlobEndpoint=http://x/;SharedAccessSignature=secret",
    ],
)
def test_a_wrong_connection_string_is_a_wrong_setting_and_not_repeated(text):
    with pytest.raises(InvalidSettingError) as caught:
        read({**DEPLOYED, "AzureWebJobsStorage": text})

    assert caught.value.setting == "AzureWebJobsStorage"
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_storage_can_be_named_for_an_identity():
    table, queue = "https://news.table.core.windows.net", "https://news.queue.core.windows.net"
    other_table, other_queue = "https://t.example", "https://q.example"
    for parts, urls in [
        ({"accountName": "news"}, (table, queue)),
        ({"accountName": "news", "queueServiceUri": other_queue}, (table, other_queue)),
        (
            {"tableServiceUri": f"{other_table}/", "queueServiceUri": other_queue},
            (other_table, other_queue),
        ),
    ]:
        named = {**parts, "clientId": "33333333", "credential": "managedidentity"}
        prefixed = {f"AzureWebJobsStorage__{name}": value for name, value in named.items()}
        storage = read({"MicrosoftAppId": APP_ID, **prefixed}).storage
        assert (storage.table_service_url, storage.queue_service_url) == urls
        assert storage.client_id == "33333333"
        assert storage.managed_identity is True
        assert storage.key == ""


# The process


def test_there_are_as_many_threads_as_the_worker_has():
    assert read(DEPLOYED, PYTHON_THREADPOOL_THREAD_COUNT="7").threads == 7
    assert read(DEPLOYED).threads == min(32, (os.cpu_count() or 1) + 4)


def test_a_proxy_is_used_where_there_is_one():
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "all_proxy"):
        assert read(DEPLOYED, **{name: "http://proxy.example:8080"}).use_proxy is True
