import pytest

from shared.languages import best_match

CHINESE = "zh-Hant-CN-x-private1-private2"


@pytest.mark.parametrize(
    "available",
    [
        "zh-Hant-CN-x-private1-private2",
        "zh-Hant-CN-x-private1",
        "zh-Hant-CN",
        "zh-Hant",
        "zh",
    ],
)
def test_a_tag_is_shortened_until_it_fits_as_in_the_example_of_rfc_4647(available):
    assert best_match(["en", available], CHINESE) == available


def test_a_single_letter_is_never_left_at_the_end():
    # RFC 4647, section 3.4: "zh-Hant-CN-x" is not asked for.
    assert best_match(["en", "zh-Hant-CN-x"], CHINESE) == "en"


@pytest.mark.parametrize(
    ("available", "wanted", "best"),
    [
        (["en", "fr"], ["fr-FR"], "fr"),
        (["en", "fr-FR"], ["fr"], "en"),
        (["en", "de-DE"], ["de-CH"], "en"),
        (["en", "zh-Hant"], ["zh"], "en"),
        (["en", "zh"], ["zh-Hant-TW"], "zh"),
        (["fr", "en"], ["de", "en"], "en"),
        (["fr", "en"], ["en-GB", "fr"], "en"),
        (["fr", "en"], ["de-AT", "fr-CA"], "fr"),
        (["fr", "en"], ["nl"], "fr"),
        (["fr", "en"], [], "fr"),
        (["fr", "en"], [""], "fr"),
        (["fr", "en"], ["en-"], "en"),
    ],
)
def test_the_first_wanted_tag_that_fits_wins_and_else_the_first_there_is(available, wanted, best):
    assert best_match(available, *wanted) == best


@pytest.mark.parametrize(("available", "wanted"), [("de-de", "DE-de-1996"), ("DE-DE", "de-de")])
def test_case_does_not_matter_and_the_available_spelling_is_kept(available, wanted):
    assert best_match(["en", available], wanted) == available


def test_of_two_spellings_the_first_is_taken():
    assert best_match(["de", "DE"], "De") == "de"
