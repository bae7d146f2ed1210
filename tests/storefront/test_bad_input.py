"""Forms and addresses with any text in them are borne. The JSON APIs have tests/test_json_apis.py."""

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.catalog.models import Product
from tests.storefront.visitor import Visitor


def test_forms_bear_any_text(shop: dict[str, Product], no_limits: None) -> None:
    text = st.text(max_size=80) | st.sampled_from(["\x00", "a" * 5000, "🙂", "%00", "\r\nSet-Cookie: a=b"])

    @settings(max_examples=60)
    @given(st.sampled_from(["", "plan/", "addons/", "waitlist/submit/"]), text, text)
    def bear(page: str, one: str, two: str) -> None:
        visitor = Visitor()
        if page in {"plan/", "addons/"}:
            visitor.welcome()
            if page == "addons/":
                visitor.plan()
        form = dict.fromkeys(("first_name", "interval", "plan", "storage_100", "email"), one)
        form |= {"addons": two, "product": two}
        answer = visitor.client.post(f"/onboarding/{page}", form)
        assert answer.status_code < 500

    bear()


def test_addresses_with_any_query_are_borne(shop: dict[str, Product]) -> None:
    for query in (
        "session_id=%00",
        "session_id=" + "a" * 3000,
        "product=%00",
        "product=%F0%9F",
        "product=" + "a" * 3000,
    ):
        for page in ("success/", "success/state/", "waitlist/"):
            assert Visitor().get(f"/onboarding/{page}?{query}").status_code in {200, 404}
