"""Texts that only the holder of a key can read, or change without being noticed.

Sealed with AES-256 in Galois/Counter mode: a random nonce of 12 bytes, then the ciphertext with its
tag. A key is random, or derived from a secret that is not kept beside what it seals. Personal data
that lie in many rows are sealed with one random key for each person: when that key is deleted,
nobody can read them any more, wherever a copy is left (crypto-shredding).
"""

import hmac
import secrets

_KEY_BYTES = 32
# Random nonces of this length are good for four billion seals with one key.
_NONCE_BYTES = 12


def new_key() -> bytes:
    """Return a random key."""
    return secrets.token_bytes(_KEY_BYTES)


def derived_key(secret: str, purpose: str) -> bytes:
    """Return the key that a secret gives for a purpose: the same each time.

    HMAC-SHA256 is a pseudorandom function of the purpose, so the key for one purpose tells nothing
    of the secret, nor of the key for another, and has the length that is needed. It makes nothing
    stronger: a secret that can be guessed gives a key that can be guessed.
    """
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), purpose.encode(), "sha256")


def seal(key: bytes, text: str) -> bytes:
    """Return a text sealed with a key; other bytes each time."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text.encode("utf-8", "surrogatepass"), None)


def unseal(key: bytes, sealed: bytes) -> str:
    """Return the text that was sealed; raise ValueError when it was not sealed so, or with it."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        text = AESGCM(key).decrypt(nonce, ciphertext, None)
    except InvalidTag:
        raise ValueError("This was not sealed with this key, or was changed") from None
    return text.decode("utf-8", "surrogatepass")
