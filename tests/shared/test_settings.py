import logging
import os

import pytest

from ReceiveEvent.formats import FORMATS
from shared.auth.tokens import AppType
from shared.errors import InvalidSettingError
from shared.settings import SENDERS, Settings

APP_ID = "11111111-0000-4000-8000-000000000001"
TENANT_ID = "22222222-0000-4000-8000-000000000002"

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


def read(environment, **changes):
    return Settings.from_environment({**environment, **changes})


def refusal(environment, **changes):
    with pytest.raises(InvalidSettingError) as caught:
        read(environment, **changes)
    return caught.value


def test_what_is_not_set_has_a_default():
    settings = read(DEPLOYED)

    assert settings.cloud.name == "Public"
    assert settings.app_id == APP_ID
    assert settings.default_channel_id == "msteams"
    assert settings.default_locale == "en"
    assert settings.connector_timeout_seconds == 15
    assert settings.lease_seconds == 25
    assert settings.use_proxy is False
    assert settings.credential is not None
    assert settings.credential.app_type is AppType.USER_ASSIGNED_MSI
    assert settings.send_rate_per_second == 40
    assert settings.give_up_ambiguous is False
    assert settings.blocked_probe_days == 7
    assert settings.delivery_retention_days == 30
    assert (settings.topics, settings.answers_people) == ((), True)


def test_what_is_set_is_taken():
    settings = read(
        DEPLOYED,
        SendRatePerSecond="12.5",
        AmbiguousSend="giveup",
        BlockedProbeDays="0",
        DeliveryRetentionDays="1.5",
        Topics=" Deep sea, Ferries,,ferries",
        AnswersPeople="False",
    )

    assert settings.send_rate_per_second == 12.5
    assert settings.give_up_ambiguous is True
    assert settings.blocked_probe_days == 0
    assert settings.delivery_retention_days == 1.5
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


def test_blank_means_not_set_and_spaces_around_a_value_are_nothing():
    settings = read(
        DEPLOYED,
        DefaultChannelId="",
        DefaultLocale="  ",
        BotCloud="",
        MicrosoftAppId=f" {APP_ID}\n",
    )

    assert settings.default_channel_id == "msteams"
    assert settings.default_locale == "en"
    assert settings.cloud.name == "Public"
    assert settings.app_id == APP_ID


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
    ("BotCloud", "Mars", "must be one of Public, USGov, China"),
    ("MicrosoftAppType", "Password", "must be one of UserAssignedMSI, SingleTenant, MultiTenant"),
    ("ConnectorTimeoutSeconds", "soon", NUMBER + "1 to 100"),
    ("ConnectorTimeoutSeconds", "0", NUMBER + "1 to 100"),
    ("ConnectorTimeoutSeconds", "101", NUMBER + "1 to 100"),
    ("ConnectorTimeoutSeconds", "nan", NUMBER + "1 to 100"),
    ("PYTHON_THREADPOOL_THREAD_COUNT", "0", NUMBER + "1 to 1024"),
    ("SendRatePerSecond", "0", NUMBER + "0.1 to 100000"),
    ("BlockedProbeDays", "-1", NUMBER + "0 to 3650"),
    ("DeliveryRetentionDays", "0", NUMBER + "1 to 3650"),
    ("ToChannelFromBotLoginUrl", "http://login.example", URL),
    ("ToChannelFromBotLoginUrl", "http://127.0.0.1:1", URL),
    ("ToChannelFromBotLoginUrl", "login.example", URL),
    ("ToChannelFromBotOAuthScope", "http://api.example", URL),
    ("ToBotFromChannelOpenIdMetadataUrl", "http://login.example", URL),
    ("ToBotFromChannelTokenIssuer", "http://issuer.example", URL),
    ("DefaultServiceUrl", "smba.trafficmanager.net", URL),
    ("DefaultServiceUrl", "https://elsewhere.example/", "is not a service URL"),
    ("TrustedServiceUrls", "http://connector.example", ORIGINS),
    ("TrustedServiceUrls", "https://connector.example/path", ORIGINS),
    ("TrustedServiceUrls", "https://ok.example, *.example", ORIGINS),
    ("AmbiguousSend", "maybe", "must be one of resend, giveUp"),
    ("LargestActivityKilobytes", "317", KILOBYTES),
    ("LargestActivityKilobytes", "msteams=0", KILOBYTES),
    ("LargestActivityKilobytes", "msteams=1,slack=x", KILOBYTES),
    ("Topics", ",".join(map(str, range(51))), TOPICS),
    ("Topics", "x" * 201, TOPICS),
    ("AnswersPeople", "no", "must be one of true, false"),
    ("WebhookSecrets", "hunter2", SECRETS),
    ("WebhookSecrets", "github=one,two=hunter2", "names the sender two; known are alertmanager, "),
    ("WebhookSecrets", "github=one,hunter2=", SECRETS),
    ("WebhookSecrets", "GitHub=hunter2", SECRETS),
    ("WebhookSecrets", "alertmanager=hunter2", "has a secret for alertmanager, which cannot sign"),
    ("DefaultChannelId", "ms teams", "must be 1 to 64 letters, digits and - _"),
    ("DefaultLocale", "en_US", "must be 1 to 64 letters, digits and -"),
]


def test_a_wrong_setting_fails_with_its_name_and_what_it_should_be():
    for setting, value, expected in WRONG:
        error = refusal(DEPLOYED, **{setting: value})

        assert error.setting == setting
        assert str(error).startswith(f"Setting {setting}: {expected}"), value
        assert value not in str(error).removeprefix(f"Setting {setting}: {expected}")
        assert "hunter2" not in str(error)


def test_the_case_of_a_choice_does_not_matter():
    assert read(DEPLOYED, BotCloud="usgov").cloud.name == "USGov"


# No credential


def test_only_a_local_development_host_runs_without_an_app_id():
    for changes in (
        {"AZURE_FUNCTIONS_ENVIRONMENT": ""},
        {"AZURE_FUNCTIONS_ENVIRONMENT": "Production"},
        {"WEBSITE_SITE_NAME": "my-app"},
        {"WEBSITE_INSTANCE_ID": "0123"},
    ):
        assert refusal(DEVELOPMENT, **changes).setting == "MicrosoftAppId"


def test_without_an_app_id_there_is_no_credential_and_only_this_machine_is_trusted():
    settings = read(DEVELOPMENT, TrustedServiceUrls="https://connector.example")

    assert settings.credential is None
    assert settings.trusted_service_urls.accepts("http://127.0.0.1:4010")
    assert not settings.trusted_service_urls.accepts("https://connector.example")
    assert not settings.trusted_service_urls.accepts("https://smba.trafficmanager.net/teams/")


def test_with_an_app_id_development_trusts_what_azure_would():
    settings = read({**DEVELOPMENT, **DEPLOYED})

    assert settings.credential is not None
    assert settings.trusted_service_urls.accepts("https://smba.trafficmanager.net/teams/")
    assert not settings.trusted_service_urls.accepts("http://127.0.0.1:4010")


# The credential


def test_a_single_tenant_bot_asks_in_its_own_tenant():
    credential = read(SINGLE_TENANT).credential

    assert credential is not None
    assert credential.tenant_id == TENANT_ID
    assert credential.login_url == "https://login.microsoftonline.com"
    assert credential.scope == "https://api.botframework.com/.default"
    assert credential.password == "invented-password"


def test_a_single_tenant_bot_needs_its_tenant():
    assert refusal(SINGLE_TENANT, MicrosoftAppTenantId="").setting == "MicrosoftAppTenantId"


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


def test_a_multi_tenant_bot_asks_in_the_tenant_of_its_cloud():
    for cloud, tenant in {
        "Public": "botframework.com",
        "USGov": "MicrosoftServices.onmicrosoft.us",
        "China": "microsoftservices.partner.onmschina.cn",
    }.items():
        credential = read(SINGLE_TENANT, MicrosoftAppType="MultiTenant", BotCloud=cloud).credential
        assert credential is not None
        assert credential.tenant_id == tenant


def test_the_login_url_may_carry_the_tenant_as_the_bot_framework_writes_it():
    for end in ("", "/", "/a-tenant", "/a-tenant/", "/a-tenant/oauth2/v2.0/token"):
        credential = read(
            SINGLE_TENANT,
            MicrosoftAppType="MultiTenant",
            ToChannelFromBotLoginUrl=f"https://login.example{end}",
        ).credential
        assert credential is not None
        assert credential.login_url == "https://login.example"
        assert credential.tenant_id == ("a-tenant" if "a-tenant" in end else "botframework.com")


def test_the_scope_may_be_given_with_or_without_its_end():
    for scope in ("https://api.example", "https://api.example/.default"):
        credential = read(SINGLE_TENANT, ToChannelFromBotOAuthScope=scope).credential
        assert credential is not None
        assert credential.scope == "https://api.example/.default"


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


def test_storage_can_be_a_connection_string():
    storage = read(DEPLOYED).storage

    assert storage.table_service_url == "http://127.0.0.1:10002/devstoreaccount1"
    assert storage.queue_service_url == "http://127.0.0.1:10001/devstoreaccount1"
    assert storage.name == "devstoreaccount1"


@pytest.mark.parametrize(
    ("text", "table_url", "queue_url"),
    [
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
    ids=["key", "cloud", "signature"],
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
        "AccountName=news;AccountKey=secret!",
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


def test_storage_that_is_not_named_in_full_is_missing():
    for part in (None, "tableServiceUri", "queueServiceUri"):
        named = {f"AzureWebJobsStorage__{part}": "https://t.example"} if part else {}
        assert refusal({"MicrosoftAppId": APP_ID, **named}).setting == "AzureWebJobsStorage"


def test_an_identity_goes_to_storage_by_https_only():
    error = refusal(
        {"MicrosoftAppId": APP_ID, "AzureWebJobsStorage__tableServiceUri": "http://t.example"}
    )

    assert error.setting == "AzureWebJobsStorage__tableServiceUri"


# The process


def test_there_are_as_many_threads_as_the_worker_has():
    assert read(DEPLOYED, PYTHON_THREADPOOL_THREAD_COUNT="7").threads == 7
    assert read(DEPLOYED).threads == min(32, (os.cpu_count() or 1) + 4)


def test_a_proxy_is_used_where_there_is_one():
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "all_proxy"):
        assert read(DEPLOYED, **{name: "http://proxy.example:8080"}).use_proxy is True
