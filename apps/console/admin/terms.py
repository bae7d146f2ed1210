"""The operator's terms: what is in force, what was, and a change, of which a preview shows who would gain or lose (terms_preview.py)."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseRedirect

from apps.access import terms
from apps.access.models import TermsChange
from apps.access.policy_facts import Terms
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.console.base import ConsoleAdmin
from apps.console.columns import address, time_column
from apps.console.dialogs import ReasonField
from apps.console.terms_words import columns_of, describe_terms, describe_terms_change, scope_of
from apps.operations import terms_preview

AGAIN = ("product", *TermsChange.VALUES, "reason")  # what the address may fill in


class AskedTerms(Exception):
    """A change that was filled in, and is not saved: first everybody is decided about."""

    def __init__(self, change: TermsChange, reason: str) -> None:
        super().__init__("asked")
        self.change, self.reason = change, reason


class TermsForm(forms.ModelForm):  # type: ignore[type-arg]
    """A change of terms, with its reason."""

    reason = ReasonField()

    class Meta:
        model = TermsChange
        fields = ("product", "profile", *TermsChange.VALUES, "reason")

    @override
    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if values.get("product") and values.get("profile"):
            raise ValidationError("Choose a product or a subscriber, not both.")
        if not (values.get("product") or values.get("profile")) and not self.errors:
            empty = [
                name for name in TermsChange.VALUES if values.get(name) in (None, "") and name != "payment_attempts"
            ]
            if empty:
                labels = ", ".join(str(self.fields[name].label).lower() for name in empty)
                raise ValidationError(f"General terms say everything. Fill in: {labels}.")
        return values


@admin.register(TermsChange)
class TermsAdmin(ConsoleAdmin):
    """The list is the history, newest first; above it what is in force. Nothing is edited: a change is a new row."""

    form = TermsForm
    few = True
    list_display = ("what", "scope", "changed", "changed_by", "said")
    list_select_related = ("product", "profile__user")
    search_by: ClassVar[dict[str, str]] = {"people": "profile", "number": "pk"}
    search_help_text = "Username, email or cus_…"
    list_before_template = "console/terms.html"
    fieldsets: ClassVar[Any] = (
        ("For whom", {"fields": ("product",), "description": "Leave it empty for the general terms."}),
        (
            "Terms",
            {
                "fields": (
                    ("grace_days", "recovery_hours", "expiry_days"),
                    ("paused_collection", "lost_dispute"),
                    "payment_attempts",
                ),
                "description": "For a product or a subscriber, what you leave empty is as the general terms say.",
            },
        ),
        ("Why", {"fields": ("reason",)}),
    )

    changed = time_column("changed_at", "Changed")

    @admin.display(description="Change", ordering="pk")
    def what(self, row: TermsChange) -> str:
        return f"terms {row.pk}"

    @admin.display(description="For")
    def scope(self, row: TermsChange) -> str:
        """For whom it is."""
        return scope_of(row)

    @admin.display(description="Says")
    def said(self, row: TermsChange) -> str:
        return "; ".join(f"{name}: {value}" for name, value in describe_terms_change(row)) or "as the general terms"

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_change_terms_permission(request))

    @override
    def get_fieldsets(self, request: HttpRequest, obj: TermsChange | None = None) -> Any:
        """From a subscriber's page, for that subscriber."""
        if obj is None and profile_of(request) is None:
            return self.fieldsets
        whom = {"fields": ("profile",)} if obj is None else {"fields": ("scope", "changed_by", "changed")}
        return (("For whom", whom), *self.fieldsets[1:])

    @override
    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The one subscriber it is for."""
        if db_field.name == "profile":
            kwargs |= {"queryset": UserProfile.objects.filter(pk=profile_of(request) or 0).select_related("user")}
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @override
    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A change of the general terms begins with what is in force; one for a subscriber with what they have of their own.

        What the address says goes before: a preview that is out of date is filled in again.
        """
        profile, given = profile_of(request), {name: request.GET[name] for name in AGAIN if name in request.GET}
        if profile is None:
            return columns_of(terms.read_terms(0).general) | given
        last = TermsChange.objects.filter(profile=profile).order_by("-pk").values(*TermsChange.VALUES).first()
        return (last or {}) | given | {"profile": profile}

    @override
    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        book = terms.read_terms(0)
        names = dict(Product.objects.filter(pk__in=book.products).values_list("pk", "name"))
        rows = [("Everybody", describe_terms(book.general))]
        rows += [
            (names[pk], describe_terms(Terms(**(vars(book.general) | dict(values)))))
            for pk, values in book.products.items()
        ]
        return {"in_force": rows}

    @override
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """The form; or, after a valid POST, the page of the preview, which a job works on."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except AskedTerms as asked:
            actor = f"staff:{request.user.get_username()}"
            preview = terms_preview.start_preview(asked.change, actor=actor, reason=asked.reason)
            return HttpResponseRedirect(address(preview))

    @override
    def save_model(self, request: HttpRequest, obj: TermsChange, form: Any, change: bool) -> None:
        """Nothing is saved here."""
        raise AskedTerms(obj, form.cleaned_data["reason"])


def profile_of(request: HttpRequest) -> int | None:
    """The subscriber whose terms the page is about; None: it is about all."""
    given = request.POST.get("profile") or request.GET.get("profile") or ""
    return int(given) if given.isdecimal() and len(given) < 18 else None
