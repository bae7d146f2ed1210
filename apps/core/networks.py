"""IP addresses as visitors and networks: somebody with many addresses is one visitor."""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address


def visitor_of(address: str) -> str:
    """An IPv4 address as it is, an IPv6 one as its /64, unless it carries an IPv4 one; "unknown" for anything else."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address):
        found = _carried_ipv4(found) or found
    return str(found) if isinstance(found, IPv4Address) else str(ipaddress.ip_network(f"{found}/64", strict=False))


def network_of(visitor: str) -> str:
    """The network around a visitor: IPv4 /24, IPv6 /48, which a provider gives to one customer."""
    try:
        found = ipaddress.ip_interface(visitor)
    except ValueError:
        return visitor
    return str(ipaddress.ip_network(f"{found.ip}/{24 if found.version == 4 else 48}", strict=False))


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of these networks; False for what is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    return any(found in ipaddress.ip_network(one) for one in networks)


def is_near(host: str) -> bool:
    """Whether what is sent to this host or socket leaves neither this machine nor its container network, whose names have no dot."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host or host.startswith(("/", "@"))


def _carried_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside a mapped, NAT64, 6to4 or Teredo address."""
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
