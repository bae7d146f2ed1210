"""Dialogs: how staff say what they want done, and why. An action is one call into the domain, wrapped by `dialog_action`.

Promises: a GET only shows the dialog; a POST needs the permission, a fresh login, the CSRF token and a reason; a refusal of the domain is
shown in the dialog and nothing is changed; after success the page is reloaded with one sentence about what was done.
"""

import datetime as dt
import functools
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, override

from django import forms
from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.console.columns import address
from apps.console.fresh_logins import done, fill_in, refuse_stale
from apps.console.site import takes_posts
from apps.core import clock
from apps.core.errors import BadInput, WorkError

REASON_LENGTHS = (10, 300)


class ReasonField(forms.CharField):
    """Why something is changed, for the timeline."""

    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminTextareaWidget(attrs={"rows": 2, "maxlength": REASON_LENGTHS[1]})
        words = "At least ten characters. It stays in the timeline for ever: name no customers, use numbers and ids."
        super().__init__(
            min_length=REASON_LENGTHS[0], max_length=REASON_LENGTHS[1], help_text=words, widget=widget, **kwargs
        )


class ReasonDialog(BaseDialogForm):  # type: ignore[misc]
    """Asks for a reason; base of all dialogs. `model` names the row the dialog is about; it is in `target`."""

    model: ClassVar[type[Model] | None] = None
    opener: ClassVar[Mapping[str, str]] = {}  # attributes of the link that opens it
    target: Any = None
    leads_to: Model | None = None  # whose page is shown afterwards, if not the target's
    shown_once: HttpResponse | None = None  # what is shown instead of a page: this once, and kept nowhere
    is_dangerous: ClassVar[bool] = False  # its button is red (console.css)

    reason = ReasonField()

    def __init__(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> None:
        """Load the row; 404 when there is none."""
        if self.model is not None:
            self.target = find(self.model, object_id)
        super().__init__(request, object_id, *args, **kwargs)
        self.prepare()
        last = [name for name in ("reason", "confirmation") if name in self.fields]
        self.order_fields([*(name for name in self.fields if name not in last), *last])
        if self.is_dangerous:
            self.fields[last[-1]].widget.attrs["data-danger"] = "true"
        fill_in(self, request)

    def prepare(self) -> None:
        """Where a subclass fills in choices and initial values from `target`."""

    def context(self) -> dict[str, Any]:
        """What its template shows beside `target`, before it asks."""
        return {}

    @override
    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        return {"target": self.target} | self.context()

    @property
    def actor(self) -> str:
        """How the timeline names the person who fills in this dialog."""
        return f"staff:{self.request.user.get_username()}"

    @property
    def why(self) -> dict[str, Any]:
        """Who and why, as the domain's functions take them."""
        return {"actor": self.actor, "reason": self.cleaned_data["reason"]}


def dialog(
    model: type[Model] | None = None,
    template: str = "",
    context: Callable[[Any], dict[str, Any]] | None = None,
    **fields: forms.Field,
) -> type[ReasonDialog]:
    """A dialog that is only data: the row it is about, what it shows (`console/dialogs/<template>.html`), what it asks."""
    content: dict[str, Any] = {"model": model, **fields}
    if template:
        content["form_before_template"] = f"console/dialogs/{template}.html"
    if context is not None:
        content["context"] = lambda self: context(self.target)
    return type("Dialog", (ReasonDialog,), content)


class ConfirmedDialog(ReasonDialog):
    """A dialog for what hurts: the name of the subscriber has to be typed."""

    confirmation = forms.CharField(
        label="Type the username to confirm",
        max_length=150,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def username(self) -> str:
        """What has to be typed."""
        return str(getattr(self.target, "profile", self.target).user.get_username())

    @override
    def prepare(self) -> None:
        self.fields["confirmation"].help_text = f"This affects “{self.username()}”."

    def clean_confirmation(self) -> str:
        """The right name, or a refusal."""
        typed = str(self.cleaned_data["confirmation"]).strip()
        if typed != self.username():
            raise ValidationError("That is not the username.")
        return typed


class TypedCountField(forms.IntegerField):
    """How many it concerns, typed by who confirms it; whether the number is right is the service's to say."""

    def __init__(self, label: str) -> None:
        widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "numeric"})
        super().__init__(label=label, min_value=0, max_value=2**31, widget=widget)


class LastDayField(forms.DateField):
    """A day, up to and including which something holds; cleaned to the moment it ends (UTC)."""

    widget = UnfoldAdminTextInputWidget(attrs={"type": "date"})

    @override
    def clean(self, value: Any) -> Any:
        day = super().clean(value)
        if day is None:
            return None
        try:
            end = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)
        except OverflowError as error:
            raise ValidationError("That is too far away.") from error
        if end <= clock.now():
            raise ValidationError("That day is over.")
        return end


def find(rows: type[Model] | QuerySet[Any], object_id: str | None) -> Any:
    """The row of a model, or of some of its rows, with that id; 404 when there is none, or the id is none."""
    try:
        return (rows if isinstance(rows, QuerySet) else rows._default_manager).get(pk=object_id)
    except (ObjectDoesNotExist, ValueError, ValidationError) as error:
        raise Http404 from error


Work = Callable[[Any, HttpRequest, Any], str]


def _marked(form: type[ReasonDialog], *, danger: bool) -> type[ReasonDialog]:
    """The form, with a red button where it is about danger."""
    return type(form.__name__, (form,), {"is_dangerous": True}) if danger else form


def dialog_action(  # noqa: PLR0913  (it is a declaration: each is named where it is used)
    *,
    title: str,
    permission: str,
    form: type[ReasonDialog] | None = None,
    icon: str,
    explain: str = "",
    danger: bool = False,
    refuse: Callable[[Any], str] | None = None,
    lock: bool = False,
    fresh: bool = True,
    calls: bool = False,
) -> Callable[[Work], Any]:
    """Make `work(admin, request, form) -> sentence` an Unfold action with a dialog (default: one that asks for a reason).

    `permission` is the codename of one of accounts' permissions. `work` runs in one transaction and may raise BadInput or
    a WorkError, whose sentence is shown in the dialog. `refuse(row)` says why this row cannot have it done, or nothing: the
    button is not shown then, and a dialog sent nevertheless is refused. `lock`: the row is locked meanwhile, so that of two
    staff who ask the same, the second is refused. `fresh`: it needs a fresh login; False for what takes and gives nothing.
    `calls`: `work` asks another system and makes its own transactions, since none may be open over a call.
    """
    form = _marked(form or ReasonDialog, danger=danger)
    dialog = {"title": title, "description": explain, "form_class": form, "form_submit_text": title}

    def decorate(work: Work) -> Any:
        @functools.wraps(work)
        def answer(page: Any, request: HttpRequest, filled: ReasonDialog, **_object_id: str) -> HttpResponse:
            def guarded_work() -> str:
                if lock:
                    rows = type(filled.target)._default_manager.select_for_update(of=("self",))
                    filled.target = rows.get(pk=filled.target.pk)
                if refusal := refuse(filled.target) if refuse else "":
                    raise BadInput(refusal)
                return work(page, request, filled)

            stale = refuse_stale(request, title=title) if fresh else None
            onward = functools.partial(_page_after, page, filled)
            return stale or carried_out(filled, dialog, guarded_work, onward, calls=calls)

        answer.refuse, answer.fresh = refuse, fresh  # type: ignore[attr-defined]
        return action(
            description=title,
            permissions=[permission],
            dialog=dialog,
            icon=icon,
            attrs=dict(form.opener),
            variant=ActionVariant.DANGER if danger else ActionVariant.DEFAULT,
        )(takes_posts(answer))

    return decorate


def _page_after(page: Any, filled: ReasonDialog) -> str:
    """Where staff are led once it is done."""
    return address(filled.leads_to) if filled.leads_to else str(page.page_of(filled.target))


def shown(form: ReasonDialog, dialog: dict[str, Any]) -> HttpResponse:
    """The dialog, empty or with what is wrong in it."""
    context = {"dialog": dialog, "form": form, "form_submit_text": dialog["form_submit_text"]}
    return render(form.request, "unfold/helpers/dialog.html", context)


def carried_out(
    form: ReasonDialog, dialog: dict[str, Any], work: Callable[[], str], page: Callable[[], str], *, calls: bool = False
) -> HttpResponse:
    """Do the work of a valid form in one transaction, say its sentence and load `page()`; a refusal is shown in the dialog.

    `calls`: the work asks another system, and there is no transaction around it.
    """
    try:
        with nullcontext() if calls else transaction.atomic():
            sentence = work()
    except (BadInput, WorkError) as refusal:
        field = getattr(refusal, "field", "")
        form.add_error(field if field in form.fields else "reason", getattr(refusal, "message", str(refusal)))
        return shown(form, dialog)
    if form.shown_once is not None:
        return form.shown_once
    messages.success(form.request, sentence)
    return done(form.request, page())
