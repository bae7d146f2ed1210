"""How the product on an instance takes our orders: set up, changed and ended here; and what its accounts are like."""

from typing import Any, override

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.db.models import Case, Count, F, Q, When
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.access import reconcile
from apps.catalog.entitlements import bytes_granted
from apps.catalog.models import Product
from apps.catalog.sizes import describe_storage
from apps.console.columns import badge, timed
from apps.console.dialogs import ReasonDialog, TypedCountField, dialog, dialog_action
from apps.core.errors import BadInput
from apps.core.states import Tone
from apps.instances.models import Instance, ProductAccount, Provisioning, Seat
from apps.instances.provisioning import checks, connections, resending

FIELDS = ("kind", "address", "login", "group", "quota_grant", "keep_days")


def list_numbers() -> list[str]:
    """The numbers of the catalog that count bytes."""
    given = {name for product in Product.objects.only("grants") for name in product.grants}
    return sorted(name for name in given if bytes_granted(name, 1) is not None)


def text_field(label: str, help_text: str, length: int) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    return forms.CharField(label=label, required=False, max_length=length, widget=widget, help_text=help_text)


class ProvisioningDialog(ReasonDialog):
    """The whole configuration; without a product, the instance is commanded no more."""

    model = Instance
    form_before_template = "console/dialogs/provisioning.html"
    kind = forms.ChoiceField(label="Product", required=False, widget=UnfoldAdminSelectWidget)
    address = forms.URLField(
        required=False, max_length=200, assume_scheme="https", widget=UnfoldAdminTextInputWidget(),
        help_text="Of the product itself, such as https://cloud-1.example.com; of a webhook, where it is received.",
    )  # fmt: skip
    login = text_field(
        "Our account there",
        "An administrator’s name in the product; in Immich, its email address. A webhook needs none.",
        80,
    )
    group = text_field("Group", "In the product, for our people. It is made if it is not there. Empty: none.", 80)
    quota_grant = forms.ChoiceField(
        label="Quota", required=False, widget=UnfoldAdminSelectWidget, help_text="The number that people buy."
    )
    keep_days = forms.IntegerField(
        label="Days until deletion", required=False, min_value=1, max_value=3650, widget=UnfoldAdminIntegerFieldWidget,
        help_text="An account without a seat is suspended at once, and deleted with its data after so many days.",
    )  # fmt: skip

    @override
    def prepare(self) -> None:
        now = getattr(self.target, "provisioning", None)
        kinds = [(kind, connections.label_of(kind)) for kind in sorted(connections.find_provisioners())]
        numbers = [(name, name) for name in list_numbers()]
        self.fields["kind"].choices = [("", "None: it takes no orders"), *kinds]
        self.fields["quota_grant"].choices = [("", "None: we set no quota"), *numbers]
        first = {"address": self.target.url, "keep_days": 30, "kind": "", "quota_grant": "", "login": "", "group": ""}
        for name in FIELDS:
            self.fields[name].initial = getattr(now, name) if now else first[name]

    @override
    def context(self) -> dict[str, Any]:
        return {"has_secret": self.target.slug in settings.PROVISIONER_SECRETS}

    @override
    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("kind"):
            logs_in = connections.needs_login(data["kind"])
            for name in ("address", *(["login"] if logs_in else []), "keep_days"):
                if not data.get(name) and name not in self.errors:
                    self.add_error(name, "This is needed.")
            if not logs_in:
                data["login"] = ""
        return data


class SendAllAgainDialog(ReasonDialog):
    """How many accounts should be what; the number of all is typed."""

    model = Instance
    form_before_template = "console/dialogs/send_all_again.html"
    expected = TypedCountField("Type how many accounts these are")

    @override
    def context(self) -> dict[str, Any]:
        counts = resending.count_by_state(self.target)
        return {"counts": counts, "total": sum(count for _, count in counts)}


class ProvisioningAction:
    """The actions and the fields, for the page of an instance."""

    @dialog_action(
        title="Provisioning", permission="change_capacity", form=ProvisioningDialog, icon="settings_remote", calls=True
    )
    def change_provisioning(self, _request: HttpRequest, form: ProvisioningDialog) -> str:
        """Ask the product whether it obeys, save how we reach it, and sync everybody who has a seat there."""
        data, instance = form.cleaned_data, form.target
        if not data["kind"]:
            connections.remove_connection(instance, **form.why)
            return f"{instance} takes no orders any more. Its accounts stay as they are."
        found = Provisioning(instance=instance, **{name: data[name] for name in FIELDS})
        connections.check_connection(found)
        seats = Seat.objects.filter(instance=instance).exclude(state=Seat.State.RELEASED)
        with transaction.atomic():
            people = seats.order_by("profile").values_list("profile_id", flat=True)
            reconcile.enqueue_many(people, reason=f"provisioning of {instance.slug} changed")
            connections.save_connection(found, **form.why)
        seats_said = "1 seat is" if len(people) == 1 else f"{len(people):,} seats are"
        return f"{connections.label_of(found.kind)} on {instance} takes our orders. {seats_said} being synced."

    @dialog_action(
        title="Send everything again", permission="retry_job", form=SendAllAgainDialog, icon="replay",
        explain="After the product was restored from a backup: each account becomes what it should be now.",
        refuse=resending.refuse_resending,
    )  # fmt: skip
    def send_all_again(self, _request: HttpRequest, form: SendAllAgainDialog) -> str:
        """Queue an order for each account."""
        expected = form.cleaned_data["expected"]
        resending.send_all_again(form.target, expected=expected, **form.why)
        return (
            f"{'1 order is' if expected == 1 else f'{expected:,} orders are'} being sent again, as they should be now."
        )

    @admin.display(description="Product")
    def provisioner(self, row: Instance) -> str:
        found = getattr(row, "provisioning", None)
        return connections.label_of(found.kind) if found else "takes no orders"

    @admin.display(description="Orders go to")
    def orders_to(self, row: Instance) -> str:
        found = getattr(row, "provisioning", None)
        if found is None:
            return "–"
        return f"{found.address} as {found.login}" if found.login else found.address

    @admin.display(description="Secret")
    def secret_label(self, row: Instance) -> SafeString:
        """Whether there is one; never what it is."""
        if not hasattr(row, "provisioning"):
            return SafeString("–")
        has_one = row.slug in settings.PROVISIONER_SECRETS
        return badge("set", Tone.GOOD) if has_one else badge("missing in PROVISIONER_SECRETS", Tone.BAD)

    @admin.display(description="Quota")
    def quota_label(self, row: Instance) -> str:
        found = getattr(row, "provisioning", None)
        return (found.quota_grant or "not set by us") if found else "–"

    @admin.display(description="Without a seat, kept for")
    def keep_label(self, row: Instance) -> str:
        found = getattr(row, "provisioning", None)
        return f"{found.keep_days} days" if found else "–"

    @admin.display(description="Accounts")
    def accounts_label(self, row: Instance) -> str:
        """How many are as they should be."""
        waits = Count("pk", filter=Q(synced_at=None))
        found = row.product_accounts.aggregate(count=Count("pk"), waiting=waits)
        return f"{found['count']:,} ({found['waiting']:,} waiting for a sync)" if found["count"] else "none"

    @admin.display(description="Orders that wait")
    def orders_label(self, row: Instance) -> str:
        """How far it is once everything is sent again."""
        return f"{resending.count_waiting(row):,}" if hasattr(row, "provisioning") else "–"


def find_account(seat: Any) -> ProductAccount | None:
    """The person's account in the product on the instance of a seat: their own before a former login's. Read once for a page."""
    if not hasattr(seat, "account_here"):
        mine = ProductAccount.objects.filter(profile=seat.profile_id, instance=seat.instance_id)
        theirs = Case(When(user_id=F("profile__keycloak_id"), then=0), default=1)
        seat.account_here = mine.select_related("instance", "profile__user").order_by(theirs, "-pk").first()
    found: ProductAccount | None = seat.account_here
    return found


def refuse_unordered(seat: Seat) -> str:
    if not hasattr(seat.instance, "provisioning"):
        return f"{seat.instance} takes no orders, so no account is read there."
    return "" if find_account(seat) else "No account was ordered there yet."


class AccountFields:
    """The account in the product, for the page of a seat."""

    @dialog_action(
        title="Check now", permission="sync_userprofile", icon="sync", form=dialog(Seat), fresh=False, calls=True,
        explain="Reads the account as it is in the product now. What differs from what was ordered is put right.",
        refuse=refuse_unordered,
    )  # fmt: skip
    def check_account(self, _request: HttpRequest, form: ReasonDialog) -> str:
        """Ask the product about one account."""
        account = find_account(form.target)
        if account is None:
            raise BadInput(refuse_unordered(form.target))
        if checks.check_now(account, **form.why):
            return f"The account on {account.instance} is as it should be."
        return f"The account on {account.instance} is not as it should be, and is being put right."

    @admin.display(description="Account in the product")
    def product_account(self, row: Seat) -> SafeString:
        """What it should be, and whether it is."""
        found = find_account(row)
        if found is None:
            return SafeString("–")
        if found.synced_at is None:
            return badge(f"{found.get_state_display()}, waits for a sync", Tone.BUSY)
        return badge(found.get_state_display(), ProductAccount.State(found.state).tone)

    @admin.display(description="Storage")
    def storage(self, row: Seat) -> str:
        found = find_account(row)
        return describe_storage(found.used, found.quota_found) if found else "–"

    @admin.display(description="Account last read")
    def account_read(self, row: Seat) -> SafeString:
        found = find_account(row)
        return timed(found.read_at if found else None)

    @admin.display(description="Account to be deleted")
    def account_ends(self, row: Seat) -> SafeString:
        found = find_account(row)
        return timed(found.delete_at if found else None)
