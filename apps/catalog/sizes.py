"""Used storage as people read it, in their language: 180 GB of 500 GB."""

from django.utils import formats
from django.utils.translation import gettext as _

from apps.catalog.entitlements import split_bytes


def describe_size(amount: int) -> str:
    """A number of bytes: 1.5 TB, in German 1,5 TB."""
    number, unit = split_bytes(amount)
    return f"{formats.number_format(number, decimal_pos=0 if number == int(number) else 1)} {unit}"


def describe_storage(used: int | None, quota: int | None) -> str:
    """How much of what is in use. Empty when it is not known; without a limit, only how much."""
    if used is None:
        return ""
    if quota is None:
        return _("%(used)s used") % {"used": describe_size(used)}
    return _("%(used)s of %(quota)s") % {"used": describe_size(used), "quota": describe_size(quota)}
