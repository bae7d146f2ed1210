"""Accepting the terms: what is kept is the version that was shown.

The box to tick carries its version. A page that was opened before the terms changed shows the new ones, and asks again.
"""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from apps.core.errors import BadInput
from apps.core.requests import text_field

LONGEST = 32  # of a version


def read_accepted_terms(form: dict[str, Any], *, missing: str) -> str:
    """The version that a form accepts; BadInput when it accepts none (`missing` says it) or one that is no longer ours."""
    version = text_field(form, "terms", limit=LONGEST, required=False)
    if not version:
        raise BadInput(missing, field="terms", code="required")
    if version != settings.TERMS_VERSION:
        said = _("Our terms have changed since you opened this page. Please read them, and accept them again.")
        raise BadInput(
            said, field="terms", code="terms_changed", status=409, details={"version": settings.TERMS_VERSION}
        )
    return version
