"""Makes a certificate for the site's host names, and the flags that make Chromium take it and no other host."""

import base64
import hashlib
import ssl
from typing import NamedTuple

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NAMES = ("grok.com", "*.grok.com", "*.x.ai", "imagine-public.x.ai", "accounts.x.ai")


class Certificate(NamedTuple):
    """Made anew at each start: there is no key to keep secret."""

    context: ssl.SSLContext
    #: What Chromium knows the key by.
    key_hash: str
    authority_pem: bytes


def make_certificate() -> Certificate:
    authority = trustme.CA()
    leaf = authority.issue_cert(*NAMES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return Certificate(
        context, _key_hash(leaf.cert_chain_pems[0].bytes()), authority.cert_pem.bytes()
    )


def chromium_flags(certificate: Certificate, port: int) -> list[str]:
    """Everything but this machine is unknown to such a browser, so it cannot reach the real site by accident."""
    here = f"127.0.0.1:{port}"
    hosts = ", ".join(f"MAP {name} {here}" for name in ("grok.com", "*.grok.com", "*.x.ai"))
    return [
        f"--host-resolver-rules={hosts}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        f"--ignore-certificate-errors-spki-list={certificate.key_hash}",
        # Without this the site would pass for a local one, and its page might reach the broker.
        f"--ip-address-space-overrides={here}=public",
    ]


def _key_hash(pem: bytes) -> str:
    key = x509.load_pem_x509_certificate(pem).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()
