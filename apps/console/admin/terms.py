"""The operator's terms: what is in force, what was, and a change that shows who would gain or lose before it is saved."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from apps.access import terms
from apps.access.models import TermsChange
from apps.access.policy_facts import Terms
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.console.admin.catalog_preview import digest
from apps.console.base import ConsoleAdmin
from apps.console.columns import time_column
from apps.console.dialogs import ReasonField
from apps.operations import impact
from apps.operations.terms_impact import TermsImpact, measure_terms_impact

OURS = ("csrfmiddlewaretoken", "seen", "typed", "_confirm")  # fields of the preview itself
NAMED = 50  # people that the preview lists of each group
WORD = "terms"  # to be typed where many lose something


class UnconfirmedTerms(Exception):
    """Not saved: this is what it would do. `problem`: what is wrong with the confirmation that was given, if any."""

    def __init__(self, change: TermsChange, found: TermsImpact, problem: str) -> None:
        super().__init__("not confirmed")
        self.change, self.found, self.problem = change, found, problem


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
        return "; ".join(f"{name}: {value}" for name, value in describe(row)) or "as the general terms"

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
        """A change of the general terms begins with what is in force; one for a subscriber with what they have of their own."""
        profile = profile_of(request)
        if profile is None:
            return columns_of(terms.read_terms(profile_id=0).general)
        last = TermsChange.objects.filter(profile=profile).order_by("-pk").values(*TermsChange.VALUES).first()
        return (last or {}) | {"profile": profile}

    @override
    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        book = terms.read_terms(profile_id=0)
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
        """The form; or, after a POST that is not confirmed yet, what it would do."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except UnconfirmedTerms as asked:
            return self.preview(request, asked)

    @override
    def save_model(self, request: HttpRequest, obj: TermsChange, form: Any, change: bool) -> None:
        """Save what was seen and confirmed; sync whom it concerns."""
        found = measure_terms_impact(obj)
        problem = problem_of(request.POST, obj, found)
        if problem is not None:
            raise UnconfirmedTerms(obj, found, problem)
        actor = f"staff:{request.user.get_username()}"
        terms.save_change(obj, actor=actor, reason=form.cleaned_data["reason"])
        impact.reconcile_holders(found.concerned, reason=f"terms changed by {actor}")
        if count := len(found.concerned):
            messages.info(
                request, f"{count} {'person is' if count == 1 else 'people are'} being synced by the new terms."
            )

    def preview(self, request: HttpRequest, asked: UnconfirmedTerms) -> HttpResponse:
        """The page that says what would happen. Nothing has been saved."""
        found = asked.found
        groups = [
            ("Get access", found.gain, ""), ("Lose access", found.lose, "bad"),
            ("Lose what was kept for them", found.give_up, "bad"), ("A date moves", found.moved, ""),
        ]  # fmt: skip
        named = UserProfile.objects.select_related("user").in_bulk([pk for _, ids, _ in groups for pk in ids[:NAMED]])
        context = self.admin_site.each_context(request) | {
            "title": "Change terms",
            "opts": self.opts,
            "scope": scope_of(asked.change),
            "changes": describe(asked.change),
            "found": found,
            "groups": [
                (title, len(ids), tone, [named[pk] for pk in ids[:NAMED] if pk in named]) for title, ids, tone in groups
            ],
            "named": NAMED,
            "seen": seen_of(asked.change, found),
            "problem": asked.problem,
            "word": WORD,
            "hidden": [(name, value) for name, values in request.POST.lists() if name not in OURS for value in values],
        }
        return TemplateResponse(request, "console/terms_preview.html", context)


def profile_of(request: HttpRequest) -> int | None:
    """The subscriber whose terms the page is about; None: it is about all."""
    given = request.POST.get("profile") or request.GET.get("profile") or ""
    return int(given) if given.isdecimal() and len(given) < 18 else None


def problem_of(data: Any, change: TermsChange, found: TermsImpact) -> str | None:
    """Why this may not be saved yet, as a sentence, empty when nothing is wrong but has to be seen; None: it may."""
    if "_confirm" not in data:
        return ""
    if data.get("seen", "") != seen_of(change, found):
        return "Something has changed in the meantime. Please check again: this is what your change would do now."
    if found.many and data.get("typed", "").strip() != WORD:
        return f"To take something from {found.losses} people, type “{WORD}”."
    return None


def seen_of(change: TermsChange, found: TermsImpact) -> str:
    """A name for the change and for what it does."""
    values = [getattr(change, name) for name in ("product_id", "profile_id", *TermsChange.VALUES)]
    return digest([values, found.gain, found.lose, found.give_up, found.moved])


def scope_of(row: TermsChange) -> str:
    """For whom a change is, in words."""
    return str(row.profile or row.product or "everybody")


def columns_of(found: Terms) -> dict[str, Any]:
    """Terms as the columns of a change."""
    return {
        "grace_days": found.grace.days,
        "recovery_hours": int(found.recovery.total_seconds()) // 3600,
        "expiry_days": found.expiry.days,
        "paused_collection": "close" if found.paused_closes else "keep",
        "lost_dispute": "suspend" if found.lost_dispute_closes else "flag",
        "payment_attempts": found.payment_attempts,
    }


def describe_terms(found: Terms) -> list[tuple[str, str]]:
    """Terms as names and values for a person."""
    return describe(TermsChange(**columns_of(found)))


def describe(row: TermsChange) -> list[tuple[str, str]]:
    """What a change says, as names and values for a person."""
    texts = {
        "Grace": row.grace_days is not None and f"{row.grace_days} days",
        "Recovery window": row.recovery_hours is not None and f"{row.recovery_hours} hours",
        "Final expiry": row.expiry_days is not None and f"{row.expiry_days} days",
        "Paused collection": row.paused_collection and row.get_paused_collection_display(),
        "Lost dispute": row.lost_dispute and row.get_lost_dispute_display(),
        "Payment attempts": row.payment_attempts and str(row.payment_attempts),
    }
    return [(name, str(text)) for name, text in texts.items() if text]
