"""The delivery log of webhooks: what products were told, what they answered, and telling them again what should be now."""

from collections.abc import Iterable
from typing import Any, ClassVar, override

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.catalog.entitlements import describe_bytes
from apps.console import selection
from apps.console.base import ConsoleAdmin
from apps.console.columns import json_field, link, link_column, state_column, time_column
from apps.console.dialogs import ReasonDialog, dialog_action
from apps.console.filters import DayFilter, NameFilter
from apps.core.errors import BadInput
from apps.instances.models import ProductAccount, WebhookDelivery
from apps.instances.provisioning import deliveries

State = WebhookDelivery.State
SELECTED = 50  # at once: a page of the list
NONE = "No delivery of an order is selected. Select some with the checkboxes in the list first."
EXPLAIN = "The product is told what should be now, with a new id. The old message is never sent again."


class SentDayFilter(DayFilter):
    """By the day on which the message left."""

    field = "sent_at"


def describe_now(rows: Iterable[WebhookDelivery]) -> list[str]:
    """What each account of these deliveries should be at this moment."""
    accounts = {row.account_id: row.account for row in rows if row.account is not None}
    return [_describe(account, account.instance.slug) for account in accounts.values()]


def _describe(account: ProductAccount, where: str) -> str:
    is_open = account.state == ProductAccount.State.OPEN
    size = f", {describe_bytes(account.quota)}" if is_open and account.quota is not None else ""
    return f"Account {account.pk} on {where}: {account.get_state_display()}{size}"


class SendAgainDialog(ReasonDialog):
    """About the delivery whose page it is opened from."""

    form_before_template = "console/dialogs/send_orders_again.html"
    model = WebhookDelivery

    @override
    def context(self) -> dict[str, Any]:
        return {"orders": describe_now([self.target])}


class SendSelectedAgainDialog(ReasonDialog):
    """About those selected in the list, which the address names."""

    form_before_template = "console/dialogs/send_orders_again.html"
    opener: ClassVar[dict[str, str]] = selection.opener("deliveries")

    def deliveries(self) -> list[WebhookDelivery]:
        """Those of an account, the oldest first. BadInput when there is none, or they are too many."""
        too_many = f"At most {SELECTED} can be sent again at once."
        named = selection.read_selected(self.request, "deliveries", most=SELECTED, too_many=too_many)
        found = list(
            WebhookDelivery.objects.filter(pk__in=named, account__isnull=False).select_related("account__instance").order_by("pk")
        )  # fmt: skip
        if not found:
            raise BadInput(NONE)
        return found

    @override
    def context(self) -> dict[str, Any]:
        try:
            return {"orders": describe_now(self.deliveries())}
        except BadInput as refusal:
            return {"problem": refusal.message}


def sentence(count: int) -> str:
    return f"{'1 order is' if count == 1 else f'{count:,} orders are'} being sent again, as they should be now."


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ConsoleAdmin):
    """The newest first."""

    list_display = ("delivery", "state_label", "instance_link", "person", "said", "status", "lasted", "sent")
    list_display_links = ("delivery",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("instance", NameFilter),
        SentDayFilter,
    )
    list_select_related = ("instance", "account__profile__user")
    tabs = ("state", (State.REFUSED, State.FAILED))
    search_by: ClassVar[dict[str, str]] = {"text": "message_id", "number": "pk"}
    search_help_text = "Number, or msg_…"
    actions_list: ClassVar[Any] = ["send_orders_again"]
    actions_detail: ClassVar[Any] = ["send_order_again"]
    fields = (
        ("delivery", "message_id", "sent"), ("instance_link", "person"), ("said", "order_json"), ("state_label", "status", "lasted"), "answer",
    )  # fmt: skip

    instance_link = link_column("instance", "Instance")
    state_label = state_column()
    sent = time_column("sent_at", "Sent")
    order_json = json_field("order", "The order")

    @admin.display(description="Delivery", ordering="pk")
    def delivery(self, row: WebhookDelivery) -> str:
        return str(row.pk)

    @admin.display(description="Subscriber")
    def person(self, row: WebhookDelivery) -> SafeString:
        return link(row.account.profile if row.account else None)

    @admin.display(description="What it said")
    def said(self, row: WebhookDelivery) -> str:
        """The kind of message, and what the account should be."""
        return ": ".join(filter(None, [row.get_kind_display(), deliveries.describe(row.order)]))

    @admin.display(description="Took")
    def lasted(self, row: WebhookDelivery) -> str:
        return "–" if row.milliseconds is None else f"{row.milliseconds:,} ms"

    @admin.display(description=selection.all_box("deliveries"))
    def pick(self, row: WebhookDelivery) -> SafeString:
        """The box of one that told something of an account."""
        if row.account_id is None:
            return SafeString("")
        return selection.box("deliveries", row.pk, f"delivery {row.pk}")

    @override
    def get_list_display(self, request: HttpRequest) -> Any:
        """With boxes for staff who may send."""
        return ("pick", *self.list_display) if self.has_retry_job_permission(request) else self.list_display

    @dialog_action(
        title="Send again", permission="retry_job", form=SendAgainDialog, icon="replay", explain=EXPLAIN, fresh=False,
        refuse=lambda row: "This delivery is not about an account." if row.account_id is None else "",
    )  # fmt: skip
    def send_order_again(self, _request: HttpRequest, form: SendAgainDialog) -> str:
        return sentence(deliveries.send_again([form.target], **form.why))

    @dialog_action(
        title="Send selected again", permission="retry_job", form=SendSelectedAgainDialog, icon="replay", explain=EXPLAIN,
    )  # fmt: skip
    def send_orders_again(self, _request: HttpRequest, form: SendSelectedAgainDialog) -> str:
        return sentence(deliveries.send_again(form.deliveries(), **form.why))
