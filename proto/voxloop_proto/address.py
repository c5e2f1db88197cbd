"""Network addresses, as HOST:PORT with an IPv6 host in brackets."""

import ipaddress


def is_loopback(address: str) -> bool:
    """True if only this machine can be at the address: localhost, 127.0.0.0/8, [::1]. Other names are not looked up."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
