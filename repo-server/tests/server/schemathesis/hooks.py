"""What schemathesis cannot find out by itself."""

import ipaddress
import itertools
import re

import schemathesis
from hypothesis import strategies

# The server bounds the wrong tokens that come from an address. Here each request has one of its own, told by a proxy.
addresses = itertools.count(int(ipaddress.ip_address("198.18.0.0")))


@schemathesis.hook
def before_call(context, case, kwargs):
    number = next(addresses)
    case.headers["X-Forwarded-For"] = str(ipaddress.ip_address(number))
    # And what is to be carried out has a key that no other request has.
    if re.fullmatch('"[!#-\\[\\]-~]{1,64}"', case.headers.get("Idempotency-Key", "")):
        case.headers["Idempotency-Key"] = f'"{number}"'


for media_type in ["application/vnd.debian.binary-package", "application/x-tar"]:
    schemathesis.openapi.media_type(media_type, strategies.binary(max_size=2048))
