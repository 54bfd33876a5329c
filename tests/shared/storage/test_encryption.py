import subprocess
import sys

import pytest

from shared.storage.encryption import decrypt, derived_key, encrypt, new_key


def test_a_text_is_read_with_its_key_and_tells_nothing_without_it():
    key = new_key()
    for text in ("", "Grüße 😀", "half of an emoji \ud83d", "x" * 100_000):
        assert decrypt(key, encrypt(key, text)) == text

    first, second = encrypt(key, "a:1 says hello"), encrypt(key, "a:1 says hello")
    assert b"a:1" not in first
    assert b"hello" not in first
    assert first[:12] != second[:12]
    assert first[12:] != second[12:]


def test_another_key_or_what_was_changed_or_cut_off_is_noticed():
    key = new_key()
    with pytest.raises(ValueError, match="not encrypted with this key"):
        decrypt(new_key(), encrypt(key, "a:1"))
    for position in (0, 11, 12, -17, -1):
        changed = bytearray(encrypt(key, "a:1"))
        changed[position] ^= 1
        with pytest.raises(ValueError, match="was changed"):
            decrypt(key, bytes(changed))
    for length in (0, 1, 8, 11, 12, 27):
        # Each part of it is noticed by another check, with other words.
        with pytest.raises(ValueError):  # noqa: PT011  # whatever it says
            decrypt(key, encrypt(key, "a:1")[:length])


def test_each_new_key_is_another():
    assert len({new_key() for _ in range(100)}) == 100
    assert len(new_key()) == 32


def test_a_derived_key_depends_on_the_secret_and_the_purpose_alone():
    key = derived_key("secret", "answer")

    assert len(key) == 32
    assert derived_key("secret", "answer") == key
    assert derived_key("secret", "fingerprint") != key
    assert derived_key("another", "answer") != key
    assert derived_key("secretanswer", "") != key
    assert decrypt(key, encrypt(key, "a:1")) == "a:1"


def test_the_cipher_is_loaded_only_when_something_is_sealed():
    module = "shared.storage.encryption"
    look = f"import sys, {module}; assert 'cryptography' not in sys.modules; print('looked')"

    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)

    assert done.stdout == "looked\n"
