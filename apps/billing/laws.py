"""Laws of billing that the database answers: no event is left, nobody pays twice unseen."""

from django.db.models import CharField, Count, Exists, Max, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat

from apps.accounts.models import UserProfile
from apps.billing import events
from apps.billing.models import InboundEvent, Subscription
from apps.billing.second_subscription import RUNNING
from apps.core.attention import Cause
from apps.core.laws import Checked, Law, LawSeverity, Scope, judge, register
from apps.core.models import AttentionItem, Job

EVENT_SECONDS = 900  # a retry plan of four runs takes less
REPORT_SECONDS = 300


def register_laws() -> None:
    """Make the laws of this module known."""
    register(
        Law(
            number="L6",
            title="One running subscription",
            sentence="Nobody has two running subscriptions without an attention item that tells staff which to cancel and refund.",
            severity=LawSeverity.URGENT,
            check=check_second_subscriptions,
            allowance_seconds=REPORT_SECONDS,
        ),
        Law(
            number="L14",
            title="No event is left",
            sentence="Each Stripe event is handled within a quarter of an hour, unless its job is being retried or waits for staff.",
            severity=LawSeverity.URGENT,
            check=check_events,
            allowance_seconds=EVENT_SECONDS,
        ),
    )


def check_second_subscriptions(scope: Scope) -> Checked:
    """L6. What a second one grants is the policy's; it may run for as long as staff know of it, or have said that it may."""
    doubled = Subscription.objects.filter(status__in=RUNNING).order_by().values("customer_id")
    doubled = doubled.annotate(running=Count("pk"), newest=Max("stripe_created_at"), seen=Max("fetched_at"))
    late = doubled.filter(running__gt=1, seen__lt=scope.before(REPORT_SECONDS))
    told = AttentionItem.objects.filter(cause=Cause.SECOND_SUBSCRIPTION, key=OuterRef("item_key"))
    people = scope.narrow(UserProfile.objects.filter(stripe_customer_id__isnull=False))
    broken = people.filter(stripe_customer_id__in=late.values("customer_id")).annotate(
        item_key=Concat(Value("profile:"), Cast("pk", CharField())),
        second_at=late.filter(customer_id=OuterRef("stripe_customer_id")).values("newest")[:1],
    )
    known = told.filter(Q(resolved_at=None) | Q(last_at__gte=OuterRef("second_at")))
    return judge(
        people,
        broken.filter(~Exists(known)).order_by("pk"),
        kind="profile",
        words=_describe_second,
        subscriber=lambda row: row.pk,
    )


def _describe_second(profile: UserProfile) -> str:
    return f"The customer {profile.stripe_customer_id} has more than one running subscription, and nobody was told."


def check_events(scope: Scope) -> Checked:
    """L14. A job that failed for good shows under Jobs; whether one that is open starts in time, L15 says."""
    waiting = InboundEvent.objects.filter(state=InboundEvent.State.RECEIVED)
    if scope.subscriber_id is not None:
        customers = UserProfile.objects.filter(pk=scope.subscriber_id, stripe_customer_id__isnull=False)
        waiting = waiting.filter(customer_id__in=customers.values("stripe_customer_id"))
    theirs = Job.objects.filter(kind=events.KIND, key=OuterRef("stripe_event_id"))
    cared_for = theirs.filter(state__in=[*Job.UNFINISHED, *Job.GIVEN_UP])
    broken = waiting.filter(~Exists(cared_for), received_at__lt=scope.before(EVENT_SECONDS)).order_by("pk")
    return judge(waiting, broken, kind="inboundevent", words=_describe_event)


def _describe_event(event: InboundEvent) -> str:
    return f"{event.stripe_event_id} ({event.type}) came on {event.received_at:%d %B, %H:%M} and is not handled, and no job does it."
