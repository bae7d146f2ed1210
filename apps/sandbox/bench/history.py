"""What happened to the subscribers of seed_bench: events, jobs, emails, and an audit trail with a valid chain for each."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.billing.models import InboundEvent
from apps.core.models import AuditEntry, Job
from apps.notifications.models import Notification
from apps.sandbox.bench.expressions import (
    ACCESS,
    CHANGED,
    DAY,
    FIRST,
    HAS_ACCESS,
    HAS_EXPIRED,
    IS_ACTIVE,
    JOINED,
    PERIOD_END,
    instance_of,
    one_of,
)
from apps.sandbox.bench.rows import execute, insert

# The hashes of one chain, from what each line is hashed of but its predecessor (core/audit.py has the same in APPEND).
CHAIN = """CREATE OR REPLACE FUNCTION pg_temp.audit_chain(rests text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE hashes text[] := '{}'; rest text; last text := '';
BEGIN
    FOREACH rest IN ARRAY rests LOOP
        last := encode(sha256(convert_to('["' || last || rest, 'UTF8')), 'hex');
        hashes := hashes || last;
    END LOOP;
    RETURN hashes;
END $$"""
ACTOR = "CASE mod(n, 50) WHEN 0 THEN 'staff:ada' ELSE 'system' END"
AT_SIGNUP = 6  # lines that are written when somebody signs up; the others come with the last change


@dataclass(frozen=True)
class App:
    """An app with `count` instances, on which one subscriber in `one_in` is."""

    slug: str
    count: int
    one_in: int

    @property
    def instance(self) -> str:
        """SQL: what a line of the audit trail says of the instance."""
        return f"jsonb_build_object('instance', '{self.slug}-bench-' || {instance_of(self.count, self.one_in)})::text"


def insert_history(rows: int, first_profile: int, apps: tuple[App, App]) -> None:
    """Three events of the last 90 days (a body for two weeks), three jobs, eight or nine lines of the timeline, two emails."""
    everybody, profile = f"generate_series(1::bigint, {rows}) n", f"({first_profile} + n)"
    _events_and_jobs(everybody, profile)
    execute(CHAIN)
    lines = _lines(*apps)
    for from_line, upto, at in ((1, AT_SIGNUP, JOINED), (AT_SIGNUP + 1, len(lines), CHANGED)):
        _audit_trail(f"(SELECT n FROM {everybody} ORDER BY {at}, n) one", profile, lines, (from_line, upto))  # noqa: S608
    insert(
        Notification, rows=f"{everybody}, generate_series(1, 2) k", key="'bench-' || k || '-' || n", template="'welcome'",
        profile_id=profile, to=f"{one_of(FIRST)} || '.' || n || '@example.org'", state="'sent'", created_at=JOINED,
        sent_at=JOINED, provider_id="'<' || md5('m' || k || '-' || n) || '@mail.example.com>'",
    )  # fmt: skip


def _events_and_jobs(everybody: str, profile: str) -> None:
    at = f"now() - (30 * (k - 1) + mod(n, 30)) * {DAY}"
    body = """CASE WHEN k = 1 AND mod(n, 30) < 14 THEN '{"object": "event", "id": "evt_bench' || n || '", "data": ' ||
        (SELECT string_agg(md5(j || '-' || n) || '": {"amount": 500, "currency": "eur", "description": null, "id": "', '')
         FROM generate_series(1, 60) j) || '}}' ELSE '' END"""
    insert(
        InboundEvent, rows=f"{everybody}, generate_series(1, 3) k", stripe_event_id="'evt_bench' || k || '_' || n",
        type="CASE k WHEN 1 THEN 'invoice.paid' WHEN 2 THEN 'customer.subscription.updated' ELSE 'charge.updated' END",
        object_id="CASE k WHEN 1 THEN 'in_bench' WHEN 2 THEN 'sub_bench' ELSE 'ch_bench' END || n",
        customer_id="'cus_bench' || n", api_version="'2026-08-26.dahlia'", stripe_created_at=at, received_at=at,
        handled_at=at, state="CASE k WHEN 3 THEN 'ignored' ELSE 'handled' END", body=body,
    )  # fmt: skip
    insert(
        Job, rows=f"{everybody}, generate_series(1, 3) k", kind="CASE k WHEN 1 THEN 'handle_event' ELSE 'reconcile' END",
        key=f"CASE k WHEN 1 THEN 'evt_bench1_' || n ELSE {profile}::text END", lane=f"'profile:' || {profile}",
        state="'done'", not_before=at, created_at=at, started_at=at, finished_at=at, attempts="1", runs="1",
    )  # fmt: skip
    insert(
        Job, rows=f"{everybody} WHERE mod(n, 100) < 6", kind="'reconcile'", key=f"{profile}::text",
        lane=f"'profile:' || {profile}", not_before=PERIOD_END, created_at="now()",
    )  # fmt: skip


def _lines(plan: App, extra: App) -> list[Mapping[str, str]]:
    """The lines of one life, each as SQL: action, before, after, and in the last one whether it is there."""
    changed_seat = f"CASE WHEN {HAS_EXPIRED} THEN 'seat_released' ELSE 'seat_retained' END"
    has_extra = f"mod(n, {extra.one_in}) = 0"

    def line(action: str, after: str = "'{}'", before: str = "'{}'", there: str = "true") -> Mapping[str, str]:
        return {"action": action, "before": before, "after": after, "there": there}

    return [
        line("'signed_up'"),
        line("'checkout_paid'"),
        line("'account_created'"),
        line("'seat_assigned'", plan.instance),
        line("'access_changed'", """'{"state": "active"}'""", """'{"state": "none"}'"""),
        line(f"CASE WHEN {has_extra} THEN 'seat_assigned' ELSE 'logged_in' END",
             f"CASE WHEN {has_extra} THEN {extra.instance} ELSE '{{}}' END"),
        line(f"CASE WHEN {IS_ACTIVE} THEN 'logged_in' ELSE 'access_changed' END",
             f"CASE WHEN {IS_ACTIVE} THEN '{{}}' ELSE jsonb_build_object('state', {ACCESS})::text END",
             f"""CASE WHEN {IS_ACTIVE} THEN '{{}}' ELSE '{{"state": "active"}}' END"""),
        line(f"CASE WHEN {HAS_ACCESS} THEN 'logged_in' ELSE {changed_seat} END",
             f"CASE WHEN {HAS_ACCESS} THEN '{{}}' ELSE {plan.instance} END"),
        line(changed_seat, extra.instance, there=f"{has_extra} AND NOT {HAS_ACCESS}"),
    ]  # fmt: skip


def _audit_trail(everybody: str, profile: str, lines: list[Mapping[str, str]], part: tuple[int, int]) -> None:
    """The lines of a part of each life, in the order in which they were written: who comes first in `everybody` is first."""

    def array(name: str) -> str:
        return f"ARRAY[{', '.join(each[name] for each in lines)}]"

    moments = (
        f"ARRAY[{', '.join('joined' if number <= AT_SIGNUP else 'changed' for number in range(1, len(lines) + 1))}]"
    )
    printed = """to_char(line.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || '+00:00'"""
    hashed = f"""'", "' || {printed} || '", "profile", "' || profile || '", "' || line.action || '", "' || actor || '", "", '
        || line.before || ', ' || line.after || ']'"""
    of_each = f"SELECT n, {profile}::text AS profile, {ACTOR} AS actor, {JOINED} AS joined, {CHANGED} AS changed FROM {everybody}"  # noqa: S608
    texts = f"SELECT {moments} AS ats, {array('action')} AS actions, {array('before')} AS befores, {array('after')} AS afters"
    chained = f"""SELECT pg_temp.audit_chain(array_agg({hashed} ORDER BY number)) AS hashes FROM unnest(ats, actions, befores, afters)
        WITH ORDINALITY AS line (at, action, before, after, number)"""  # noqa: S608
    insert(
        AuditEntry, rows=f"""({of_each}) each, LATERAL ({texts} OFFSET 0) texts, LATERAL ({chained} OFFSET 0) chain,
            generate_series({part[0]}, {part[1]}) k WHERE k < {len(lines)} OR {lines[-1]["there"]}""",
        at="ats[k]", subject_kind="'profile'", subject_id="profile", action="actions[k]", before="befores[k]::jsonb",
        after="afters[k]::jsonb", actor="actor", hash="hashes[k]", prev_hash="coalesce(hashes[k - 1], '')",
    )  # fmt: skip
