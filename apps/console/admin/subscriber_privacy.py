"""A subscriber's privacy: record what they ask for, hand out their data, erase them with a preview, keep their data for a dispute.

The actions are a mixin of the subscriber's page. What is erased and why it is refused is decided by operations.privacy; the copy and
the receipt are documents to print, which name nobody but the person, and the receipt not even them.
"""

import json
from typing import Any, ClassVar, override

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts import legal_holds
from apps.accounts.erasers import is_erased
from apps.accounts.models import PrivacyRequest, UserProfile
from apps.console import fresh_logins
from apps.console.asking import ask, needs_second
from apps.console.dialogs import ConfirmedDialog, ReasonDialog, ReasonField, dialog, dialog_action, find
from apps.console.site import takes_posts
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.operations import erasure_receipts, erasure_rows, personal_copy, privacy, privacy_requests
from apps.operations.models import ApprovalRequest

Action = ApprovalRequest.Action
PERSONAL_DATA = "admin:accounts_userprofile_personal_data"
FORMATS = (("page", "A page to read and print"), ("json", "A JSON file for other programs"))


class RequestDialog(ReasonDialog):
    """What was asked for, and when; the reason says how it came in."""

    model = UserProfile
    kind = forms.ChoiceField(label="Asked for", choices=PrivacyRequest.Kind.choices, widget=UnfoldAdminSelectWidget())
    received_on = forms.DateField(
        label="Received on", widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text="The day it reached the company. The law gives a month from then.",
    )  # fmt: skip

    @override
    def prepare(self) -> None:
        self.fields["received_on"].initial = clock.now().date()
        self.fields["reason"].label = "How it came in"


class EraseDialog(ConfirmedDialog):
    """Shows what goes and what stays, or why nothing may go now."""

    model = UserProfile
    form_before_template = "console/dialogs/erase.html"

    @override
    def context(self) -> dict[str, Any]:
        return {
            "refusal": privacy.refuse_erasing(self.target),
            "rows": [(name, count) for name, count in erasure_rows.count_rows(self.target).items() if count],
            "kept": privacy.list_kept(self.target),
            "needs_approval": needs_second(self, Action.ERASE_PERSON, 1),
        }


class ExportPersonForm(forms.Form):
    """What the copy should be, and why it is needed."""

    format = forms.ChoiceField(choices=FORMATS, widget=forms.RadioSelect, initial=FORMATS[0][0])
    reason = ReasonField()


def refuse_erased(profile: UserProfile) -> str:
    return "This subscriber is erased already." if is_erased(profile) else ""


class PrivacyActions:
    """The three actions, the copy and the receipt, for the subscriber's ModelAdmin."""

    privacy_actions: ClassVar[tuple[str, ...]] = ("record_request", "legal_hold", "erase")

    @dialog_action(
        title="Record privacy request", permission="record_privacy_request", form=RequestDialog, icon="contact_mail",
        fresh=False, refuse=refuse_erased, explain="Somebody asks for a copy of their data, or to be erased. It is listed until it is answered.",
    )  # fmt: skip
    def record_request(self, _request: HttpRequest, form: RequestDialog) -> str:
        given = form.cleaned_data
        made = privacy_requests.receive(form.target, kind=given["kind"], received_on=given["received_on"], **form.why)
        return f"The request of {form.target} is recorded. It has to be answered by {made.due_on:%-d %b %Y}."

    @dialog_action(
        title="Set legal hold", permission="set_legal_hold", form=dialog(UserProfile), icon="gavel", refuse=refuse_erased,
        explain="Keep all data of this subscriber: nobody can erase them and no retention deletes anything, until the hold is ended. Access does not change.",
    )  # fmt: skip
    def legal_hold(self, _request: HttpRequest, form: ReasonDialog) -> str:
        legal_holds.place(form.target, **form.why)
        return f"The data of {form.target} is kept until the hold is ended."

    @dialog_action(
        title="Erase personal data", permission="erase_person", form=EraseDialog, icon="person_remove", danger=True,
        refuse=refuse_erased, explain="Delete what is known of this person, here, at Keycloak and, where nothing was invoiced, at Stripe. It cannot be undone.",
    )  # fmt: skip
    def erase(self, _request: HttpRequest, form: EraseDialog) -> str:
        """At once where nobody else could approve it; else another admin has to."""
        if refusal := privacy.refuse_erasing(form.target):
            raise BadInput(refusal)
        if needs_second(form, Action.ERASE_PERSON, 1):
            return ask(form, Action.ERASE_PERSON, subject=f"profile:{form.target.pk}", profile=form.target)
        receipt = privacy_requests.erase(form.target, **form.why)
        return (
            f"Subscriber {form.target.pk} is erased here. Receipt {receipt.pk} shows how far Keycloak and Stripe are."
        )

    # --- documents ---------------------------------------------------------------------------------------------------

    def get_custom_urls(self) -> Any:
        address = ("<path:object_id>/personal-data/", PERSONAL_DATA.removeprefix("admin:"), self.personal_data_view)
        return (address, *super().get_custom_urls())  # type: ignore[misc]

    @takes_posts
    def personal_data_view(self, request: HttpRequest, object_id: str, **_given: Any) -> HttpResponse:
        """Asks why and how; a POST hands out the data."""
        page: Any = self
        if not page.has_export_person_permission(request):
            raise PermissionDenied
        profile = find(page.get_queryset(request), object_id)
        form = ExportPersonForm(request.POST or None)
        fresh_logins.fill_in(form, request)
        if request.method == "POST":
            if refused := fresh_logins.refuse_stale(request):
                return refused
            if form.is_valid():
                return hand_out(request, profile, **form.cleaned_data)
        context = page.admin_site.each_context(request) | {
            "title": "Export personal data", "form": form, "profile": profile, "back": page.page_of(profile),
        }  # fmt: skip
        return render(request, "console/personal_data.html", context)

    def receipt_view(self, request: HttpRequest, profile: UserProfile) -> HttpResponse:
        """The receipt to print; how far it is, as a part of the subscriber's page."""
        receipt = erasure_receipts.read_receipt(profile)
        context = {"receipt": receipt, "profile": profile, "requests": _answered(profile) if receipt else ()}
        template = "erasure_progress" if request.GET.get("part") else "erasure_receipt"
        return render(request, f"console/{template}.html", context)


def _answered(profile: UserProfile) -> list[PrivacyRequest]:
    return list(profile.privacy_requests.order_by("pk"))


def hand_out(request: HttpRequest, profile: UserProfile, *, format: str, reason: str) -> HttpResponse:  # noqa: A002  (as in the form)
    """The data in one of FORMATS, and the line about it."""
    found = privacy.export(profile)
    user: Any = request.user
    after = {"format": format, "rows": sum(map(len, found.values()))}
    audit.record(
        subject=profile.subject, action=AuditAction.PERSON_EXPORTED, actor=f"staff:{user.get_username()}", reason=reason, after=after,
    )  # fmt: skip
    if format == "page":
        context = {"copy": personal_copy.compose(found), "profile": profile, "at": clock.now()}
        return render(request, "console/personal_copy.html", context)
    name = f"subscriber-{profile.pk}-{clock.now():%Y-%m-%d}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(
        json.dumps(found, indent=2, ensure_ascii=False), content_type="application/json", headers=headers
    )
