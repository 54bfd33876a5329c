import pytest

from shared.auth.clouds import CLOUDS, PUBLIC
from shared.auth.service_urls import TrustedServiceUrls, is_loopback, parse_origin
from shared.errors import UntrustedServiceUrlError

OF_CLOUD = {
    "Public": [
        "https://smba.trafficmanager.net/teams/",
        "https://smba.trafficmanager.net/amer/0e7a0000-0000-4000-8000-0000000000aa/",
        "https://smba.infra.gcc.teams.microsoft.com/teams",
        "https://api.botframework.com",
        "https://botframework.com/",
        "https://webchat.botframework.com/",
        "https://europe.directline.botframework.com/",
    ],
    "USGov": [
        "https://smba.infra.gov.teams.microsoft.us/teams",
        "https://smba.infra.dod.teams.microsoft.us/teams",
        "https://webchat.botframework.azure.us/",
        "https://api.botframework.us",
    ],
    "China": ["https://webchat.botframework.azure.cn/"],
}

HOSTILE = [
    # Look-alikes
    "https://smba.trafficmanager.net.evil.example/teams/",
    "https://evil.trafficmanager.net/teams/",
    "https://x.smba.trafficmanager.net/",
    "https://trafficmanager.net/",
    "https://evilsmba.trafficmanager.net/",
    "https://smba-trafficmanager.net/",
    "https://evilbotframework.com/",
    "https://botframework.com.evil.example/",
    "https://botframework.co/",
    "https://teams.microsoft.com/",
    "https://evil.gcc.teams.microsoft.com/",
    "https://evil.blob.core.windows.net/",
    "https://graph.microsoft.com/",
    # User info
    "https://smba.trafficmanager.net@evil.example/",
    "https://smba.trafficmanager.net:443@evil.example/",
    "https://user:password@smba.trafficmanager.net/",
    "https://@smba.trafficmanager.net/",
    "https://evil.example#@smba.trafficmanager.net/",
    # Schemes and ports
    "http://smba.trafficmanager.net/teams/",
    "http://smba.trafficmanager.net:443/teams/",
    "ftp://smba.trafficmanager.net/",
    "//smba.trafficmanager.net/",
    "smba.trafficmanager.net",
    "https:smba.trafficmanager.net",
    "https:/smba.trafficmanager.net/",
    "https:///smba.trafficmanager.net/",
    "https://smba.trafficmanager.net:8443/",
    "https://smba.trafficmanager.net:80/",
    "https://smba.trafficmanager.net:0/",
    "https://smba.trafficmanager.net:65979/",
    "https://smba.trafficmanager.net:/",
    "https://smba.trafficmanager.net:4_43/",
    "https://smba.trafficmanager.net:\u0664\u0664\u0663/",
    "javascript:alert(1)",
    "file:///etc/passwd",
    # IP literals
    "https://127.0.0.1/",
    "https://10.0.0.1/",
    "https://169.254.169.254/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://localhost/",
    # What parsers read differently
    "https://smba.trafficmanager.net\\@evil.example/",
    "https://evil.example\\.botframework.com/",
    "https://evil.example\\@api.botframework.com/",
    "https://evil.example/\\.botframework.com",
    "\\\\smba.trafficmanager.net\\",
    "https://evil.example?.botframework.com/",
    "https://evil.example#.botframework.com/",
    "https://evil.example;.botframework.com/",
    "https://evil.example%2f.botframework.com/",
    "https://evil.example%00.botframework.com/",
    "https://api.botframework.com?to=evil.example",
    "https://api.botframework.com/?x",
    "https://api.botframework.com/#x",
    "https://api.botframework.com\t/",
    "https://api.bot\tframework.com/",
    "https://api.bot\nframework.com/",
    "https://api.botframework.com/\n",
    "https://api.botframework.com\r\n/",
    "https://api.botframework.com/a b",
    " https://api.botframework.com/",
    "https://api.botframework.com/ ",
    "https://api.botframework.com/\x00",
    "https://api.botframework.com\x00.evil.example/",
    # Unicode
    "https://\u0430pi.botframework.com/",
    "https://api.botframework\u3002com/",
    "https://evil.example\uff0f.botframework.com/",
    "https://\uff41pi.botframework.com/",
    "https://api.botframework.\u24b8om/",
    "https://api.botframework.com/\u00e9",
    "https://api.botframework.com\ud83d/",
    # Hosts that are none
    "https://smba.trafficmanager.net./",
    "https://api.botframework.com./",
    "https://.botframework.com/",
    "https://..botframework.com/",
    "https://evil..botframework.com/",
    f"https://{'a' * 64}.botframework.com/",
    "https://-.botframework.com/",
    "https://*.botframework.com/",
    "https://",
    "https://:443/",
    "",
    f"https://api.botframework.com/{'a' * 2048}",
]


def of_cloud(cloud, *extra_origins, only_loopback=False):
    return TrustedServiceUrls(cloud, extra_origins, only_loopback=only_loopback)


def accepted(trusted, urls):
    return {url: trusted.accepts(url) for url in urls}


def test_a_token_stays_in_its_own_cloud():
    for cloud in CLOUDS.values():
        for home, urls in OF_CLOUD.items():
            is_home = home == cloud.name
            assert accepted(of_cloud(cloud), urls) == dict.fromkeys(urls, is_home), cloud.name


def test_whatever_could_lead_elsewhere_is_not_trusted():
    for cloud in CLOUDS.values():
        trusted = of_cloud(cloud)
        assert accepted(trusted, HOSTILE) == dict.fromkeys(HOSTILE, False), cloud.name
        for url in HOSTILE:
            with pytest.raises(UntrustedServiceUrlError) as caught:
                trusted.require(url, field="conversation.serviceUrl")
            assert caught.value.field_errors[0].field == "conversation.serviceUrl"


def test_a_refusal_says_what_to_do_and_repeats_nothing():
    with pytest.raises(UntrustedServiceUrlError, match="add its origin to the setting Trusted"):
        of_cloud(PUBLIC).require("https://connector.example/")
    with pytest.raises(UntrustedServiceUrlError) as caught:
        of_cloud(PUBLIC).require("https://user:password@connector.example/")

    assert "password" not in str(caught.value)


def test_the_base_path_is_kept_and_the_last_slash_is_not():
    bases = {
        "https://API.botframework.com:443": "https://API.botframework.com:443",
        "https://api.botframework.com/": "https://api.botframework.com",
        "https://smba.trafficmanager.net/amer/t/": "https://smba.trafficmanager.net/amer/t",
        "https://smba.trafficmanager.net/amer//": "https://smba.trafficmanager.net/amer",
    }
    assert {url: of_cloud(PUBLIC).require(url) for url in bases} == bases


# The setting TrustedServiceUrls


def test_an_extra_origin_is_taken_literally():
    extra = [parse_origin("https://connector.example"), parse_origin("http://localhost:4010/")]
    expected = {
        "https://connector.example/any/path/": True,
        "https://connector.example:443/": True,
        "https://CONNECTOR.example/": True,
        "http://connector.example/": False,
        "https://connector.example:8443/": False,
        "https://sub.connector.example/": False,
        "https://connector.example.evil.example/": False,
        "http://localhost:4010/": True,
        "https://localhost:4010/": False,
        "http://127.0.0.1:4010/": False,
        "http://localhost:4011/": False,
        "http://localhost/": False,
        "https://smba.trafficmanager.net/teams/": True,
    }

    assert accepted(of_cloud(PUBLIC, *filter(None, extra)), expected) == expected


def test_an_origin_is_a_scheme_a_host_and_a_port_and_no_more():
    origins = {
        "https://connector.example": ("https", "connector.example", 443),
        "https://Connector.example:8443/": ("https", "connector.example", 8443),
        "http://localhost:4010": ("http", "localhost", 4010),
        "http://127.0.0.1": ("http", "127.0.0.1", 80),
        "http://[::1]:4010": ("http", "[::1]", 4010),
        "http://connector.example": None,
        "http://localhost.example": None,
        "http://10.0.0.1": None,
        "https://connector.example/path": None,
        "https://connector.example//": None,
        "https://*.example": None,
        "connector.example": None,
        "HTTPS://connector.example": None,
        "": None,
    }
    assert {text: parse_origin(text) for text in origins} == origins


# Loopback


def test_this_machine_is_known_by_its_usual_names_only():
    own = ["localhost", "127.0.0.1", "127.255.255.254", "[::1]"]
    others = ["localhost.", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "0.0.0.0"]
    others += ["[::]", "10.0.0.1", "2130706433", ""]

    assert [host for host in own + others if is_loopback(host)] == own


def test_without_a_credential_nothing_leaves_this_machine():
    trusted = of_cloud(PUBLIC, ("https", "connector.example", 443), only_loopback=True)
    expected = {
        "http://127.0.0.1:4010/base": True,
        "https://localhost:4010": True,
        "http://[::1]:4010": True,
        "https://smba.trafficmanager.net/teams/": False,
        "https://connector.example/": False,
        "http://127.0.0.1.evil.example/": False,
        "http://localhost@evil.example/": False,
        "http://user@localhost/": False,
    }

    assert accepted(trusted, expected) == expected
