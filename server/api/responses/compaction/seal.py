"""The content of compaction items: sealed, so that clients keep it for the server and can neither read nor change it, and no owner can
use another's."""

import base64
import json
import secrets
import zlib
from dataclasses import asdict, dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "stoac1."
NONCE_BYTES = 12  # NIST SP 800-38D; random ones are safe for 2**32 items
MAX_BYTES = 4 << 20  # of an opened one


@dataclass(frozen=True, slots=True)
class Summary:
    """`answered`: whether the last user's message had been answered, or was being; otherwise that one comes after the summary.
    `untrusted`: tools or documents have had a part in what it says."""

    text: str
    answered: bool
    untrusted: bool


class NotOurs(ValueError):
    """Sealed for somebody else, by another server, or changed."""


def seal(key: bytes, owner: str, summary: Summary) -> str:
    """`key`: 256 bits."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    plain = zlib.compress(json.dumps(asdict(summary)).encode())
    return PREFIX + base64.urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, plain, _purpose(owner))).decode()


def unseal(key: bytes, owner: str, sealed: str) -> Summary:
    """Raises NotOurs."""
    if not sealed.startswith(PREFIX):
        raise NotOurs
    try:
        raw = base64.b64decode(sealed.removeprefix(PREFIX), altchars=b"-_", validate=True)
        plain = AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _purpose(owner))
        return Summary(**json.loads(zlib.decompressobj().decompress(plain, MAX_BYTES)))
    except (InvalidTag, ValueError) as error:
        raise NotOurs from error


def _purpose(owner: str) -> bytes:
    """Authenticated, not sent: nobody else's item opens, and none that was sealed for another purpose."""
    return b"compaction\0" + owner.encode()
