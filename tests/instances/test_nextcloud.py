"""What is Nextcloud's own: quotas as it keeps them, and how its stand-in is as rude as it is."""

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import DependencyDown
from apps.instances.provisioning.nextcloud import as_kept
from apps.sandbox.nextcloud.accounts import size_as_text, size_in_bytes
from apps.sandbox.nextcloud_account import ADMIN, APP_PASSWORD
from tests.instances.peers import ID, NEXTCLOUD
from tests.instances.products import GB
from tests.sandbox.keycloak_fixture import Standin

SIZES = st.one_of(st.integers(0, 4096), st.integers(1, 5000).map(lambda gb: gb * GB), st.integers(0, 2**52))


@given(SIZES)
def test_what_is_sent_is_what_is_kept(quota: int) -> None:
    held = NEXTCLOUD.offline().quota_held(quota)
    assert size_in_bytes(size_as_text(held)) == held == as_kept(held)


def test_wrong_passwords_are_throttled_and_a_call_without_the_header_is_none(standin: Standin) -> None:
    """The stand-in is as rude as the real one."""
    for _ in range(10):
        with pytest.raises(DependencyDown, match="401"):
            NEXTCLOUD.connect(standin, secret="wrong").check()
    with pytest.raises(DependencyDown, match="429"):
        NEXTCLOUD.connect(standin).check()
    url = f"{standin.url}/nextcloud/cloud-2/ocs/v2.php/cloud/users/{ID}"
    assert requests.get(url, auth=(ADMIN, APP_PASSWORD), timeout=10).status_code == 412
    answer = requests.get(url, auth=(ADMIN, APP_PASSWORD), headers={"OCS-APIRequest": "true"}, timeout=10)
    assert (answer.status_code, answer.text.count("<statuscode>404</statuscode>")) == (404, 1)
