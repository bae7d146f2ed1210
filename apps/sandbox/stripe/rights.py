"""The key as a restricted one: what the settings name as missing, such as `subscription_read`, is refused."""

from apps.sandbox.stripe.errors import ApiError
from apps.sandbox.stripe.records import ACCOUNT_ID, root


def check_right(right: str) -> None:
    """ApiError 403 without this right; to expand an object one must be allowed to read it."""
    if right in root()["settings"]["missing_rights"]:
        raise ApiError(
            403,
            "The provided key 'rk_test_*********************0000' does not have the required permissions for this endpoint on"
            f" account '{ACCOUNT_ID}'. Having the 'rak_{right}' permission would allow this request to continue.",
        )
