"""Laws of signing up: codes end, and nothing stays reserved for a payment that can no longer come."""

import datetime as dt

from django.db.models import CharField, Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Cast, Lower

from apps.access.facts import LONGEST_DEBIT
from apps.accounts.models import Signup
from apps.core.laws import Checked, Law, LawSeverity, LawViolation, Scope, judge, register
from apps.core.models import Job
from apps.instances.capacity import RESERVATION_MARGIN
from apps.instances.models import Seat
from apps.onboarding import codes
from apps.onboarding.checkout_result import CHECK_CHECKOUT, FAILED_PAUSE, LONGEST_PAUSE
from apps.onboarding.models import OneTimeCode

ALLOWANCE = dt.timedelta(minutes=5)


def register_laws() -> None:
    """Make the laws of this module known."""
    register(
        Law(
            number="L21",
            title="Codes end",
            sentence=f"A code lives {codes.MINUTES} minutes at most, is tried at most {codes.MAX_TRIES} times, works once, and replaces the one before it.",
            severity=LawSeverity.URGENT,
            check=check_codes,
        ),
        Law(
            number="L22",
            title="Reservations end",
            sentence="Nobody holds a username or a seat for a payment that can no longer come, and no two payments hold the same name or address.",
            severity=LawSeverity.IMPORTANT,
            check=check_reservations,
            allowance_seconds=int(ALLOWANCE.total_seconds()),
        ),
    )


def check_codes(scope: Scope) -> Checked:
    """L21. A code is bound to a purpose, an address and a browser session: of these there is one that was not used."""
    if scope.subscriber_id is not None:  # a code names nobody
        return Checked(0)
    rows = OneTimeCode.objects.all()
    too_long = Q(expires_at__gt=F("created_at") + codes.CODE_LIFETIME) | Q(used_at__gt=F("expires_at"))
    other = rows.filter(
        purpose=OuterRef("purpose"),
        subject=OuterRef("subject"),
        session=OuterRef("session"),
        used_at=None,
        pk__gt=OuterRef("pk"),
    )
    broken = rows.filter(too_long | Q(tries__gt=codes.MAX_TRIES) | Q(used_at=None) & Exists(other)).order_by("pk")
    return judge(rows, broken, kind="onetimecode", words=_describe_code)


def _describe_code(code: OneTimeCode) -> str:
    if code.tries > codes.MAX_TRIES:
        return f"A {code.purpose} code was tried {code.tries} times."
    if code.used_at is not None and code.used_at > code.expires_at:
        return f"A {code.purpose} code was used after its end."
    if code.expires_at > code.created_at + codes.CODE_LIFETIME:
        return f"A {code.purpose} code lives longer than {codes.MINUTES} minutes."
    return f"A {code.purpose} code still works beside a newer one."


def check_reservations(scope: Scope) -> Checked:
    """L22. A debit that the bank has not answered keeps what it holds while its check is queued, but not for ever."""
    live = scope.narrow(Signup.objects.filter(state=Signup.State.CHECKOUT), "profile")
    held = scope.narrow(Seat.objects.filter(state=Seat.State.RESERVED), "profile")
    ended = judge(
        live,
        _find_ended(live, scope).order_by("created_at"),
        kind="signup",
        words=_describe_signup,
        subscriber=lambda row: row.profile_id,
    )
    late = held.filter(reserved_until__lt=scope.moment - ALLOWANCE).order_by("pk")
    seats = judge(held, late, kind="seat", words=_describe_seat, subscriber=lambda row: row.profile_id)
    twice = _find_doubled(live)
    violations = [*ended.violations, *seats.violations, *twice]
    return Checked(ended.looked_at + seats.looked_at, violations, ended.total + seats.total + len(twice))


def _find_ended(live: QuerySet[Signup], scope: Scope) -> QuerySet[Signup]:
    checks = Job.objects.filter(kind=CHECK_CHECKOUT, key=Cast(OuterRef("pk"), CharField()))
    cared_for = checks.filter(
        Q(state__in=Job.UNFINISHED) | Q(state__in=Job.GIVEN_UP, finished_at__gt=scope.moment - FAILED_PAUSE - ALLOWANCE)
    )
    over = Q(checkout_expires_at__lt=scope.moment - RESERVATION_MARGIN - ALLOWANCE) | Q(
        checkout_expires_at=None, created_at__lt=scope.moment - dt.timedelta(days=1)
    )
    for_ever = Q(checkout_expires_at__lt=scope.moment - LONGEST_DEBIT - LONGEST_PAUSE - ALLOWANCE)
    return live.filter(over & ~Exists(cared_for) | for_ever)


def _describe_signup(signup: Signup) -> str:
    ends = f"{signup.checkout_expires_at:%d %B, %H:%M}" if signup.checkout_expires_at else "an unknown time"
    return f"A signup still holds its username; its payment ended at {ends}."


def _describe_seat(seat: Seat) -> str:
    return f"Seat {seat.pk} is still reserved; its reservation ended at {seat.reserved_until:%d %B, %H:%M}."


def _find_doubled(live: QuerySet[Signup]) -> list[LawViolation]:
    """Unfinished payments that hold the username or the address of another one."""
    found: list[LawViolation] = []
    for name in ("username", "email"):
        key = Lower(name)
        again = live.annotate(held=key).order_by().values("held").annotate(times=Count("pk")).filter(times__gt=1)
        rows = live.annotate(held=key).filter(held__in=again.values("held")).order_by("created_at")
        found += [
            LawViolation("signup", str(row.pk), row.profile_id, f"Two unfinished payments hold the same {name}.")
            for row in rows[:100]
        ]
    return found
