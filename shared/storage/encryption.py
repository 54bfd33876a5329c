"""Encryption of texts, which also tells when one was changed.

AES-256 in Galois/Counter mode: a random nonce of 12 bytes, then the ciphertext with its tag. A key
is random, or derived from a secret that is not stored beside what it encrypts. Personal data in
many rows are encrypted with one random key for each person. Deleting that key makes all of them
unreadable, wherever a copy is left (crypto-shredding).
"""

import hmac
import secrets

_KEY_BYTES = 32
# Random nonces of this length are good for four billion texts with one key.
_NONCE_BYTES = 12


def new_key() -> bytes:
    """Return a random key."""
    return secrets.token_bytes(_KEY_BYTES)


def derived_key(secret: str, purpose: str) -> bytes:
    """Return the key that a secret gives for a purpose: the same each time.

    HMAC-SHA256 is a pseudorandom function of the purpose. So the key for one purpose tells nothing
    of the secret or of another key, and it has the right length. It makes no secret stronger: one
    that can be guessed gives a key that can be guessed.
    """
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), purpose.encode(), "sha256")


def encrypt(key: bytes, text: str) -> bytes:
    """Return a text encrypted with a key; other bytes each time."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text.encode("utf-8", "surrogatepass"), None)


def decrypt(key: bytes, encrypted: bytes) -> str:
    """Return the text again; raise ValueError for another key, or for bytes that were changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, ciphertext = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
    try:
        text = AESGCM(key).decrypt(nonce, ciphertext, None)
    except InvalidTag:
        raise ValueError("This was not encrypted with this key, or was changed") from None
    return text.decode("utf-8", "surrogatepass")
