from shared.languages import best_match, is_within, known_locale

CHINESE = "zh-Hant-CN-x-private1-private2"


def test_a_tag_is_shortened_until_it_fits_as_in_the_example_of_rfc_4647():
    for available in (CHINESE, "zh-Hant-CN-x-private1", "zh-Hant-CN", "zh-Hant", "zh"):
        assert best_match(["en", available], CHINESE) == available
    # RFC 4647, section 3.4: "zh-Hant-CN-x" is not asked for.
    assert best_match(["en", "zh-Hant-CN-x"], CHINESE) == "en"


def test_the_first_wanted_tag_that_fits_wins_and_else_the_first_there_is():
    for available, wanted, best in [
        ("en fr", "fr-FR", "fr"),
        ("en fr-FR", "fr", "en"),
        ("en de-DE", "de-CH", "en"),
        ("en zh", "zh-Hant-TW", "zh"),
        ("fr en", "de en", "en"),
        ("fr en", "en-GB fr", "en"),
        ("fr en", "de-AT fr-CA", "fr"),
        ("fr en", "", "fr"),
        ("fr en", "en-", "en"),
        ("en de-de", "DE-de-1996", "de-de"),
        ("en DE-DE", "de-de", "DE-DE"),
        ("de DE", "De", "de"),
    ]:
        assert best_match(available.split(), *wanted.split()) == best, (available, wanted)
    assert best_match(["fr", "en"], "") == "fr"


def test_a_tag_is_within_itself_and_what_it_begins_with():
    for tag, wanted, expected in [
        ("de-AT", "de", True),
        ("DE-at", "de-AT", True),
        ("de", "de-AT", False),
        ("den", "de", False),
        ("de", "*", True),
    ]:
        assert is_within(tag, wanted) is expected, (tag, wanted)


def test_a_locale_is_put_right_however_clients_write_it():
    for written, tag in {
        "fr_FR": "fr-FR",
        "EN-us": "en-US",
        "zh-hans-cn": "zh-Hans-CN",
        "de_DE.UTF-8": "de-DE",
        "sr_RS@latin": "sr-RS",
        "zh_TW_#Hant": "zh-TW",
        "en-GB,en;q=0.9": "en-GB",
        " de-AT\n": "de-AT",
        "DE_": "de",
        "ES-419": "es-419",
        "de-ch-1996": "de-CH-1996",
        "en-us-u-CA-gregory": "en-US-u-ca-gregory",
        CHINESE: CHINESE,
    }.items():
        assert known_locale(written) == tag, written
    for none in ("", "C", "POSIX", "english", "every language", "de--AT", "de AT", "x-1", "<b>"):
        assert known_locale(none) is None, none
    assert known_locale("de-" + "-".join(["x2345678"] * 8)) is None
