"""The SQL of allocation.py: which instance a subscriber gets, and counters that change together with the seats.

`PICK_OWN`, `PICK_UNLOCKED`, `PICK_NEXT`, `PICK_WAITING` and `PICK_FROM_RESERVE` say how an instance is picked; `TAKE` assigns it. `FOR UPDATE` gives the newest
version of a row and tests the condition on it again, so what is picked has room for as long as the lock is held.
"""

OPEN = "product_id = %(product)s AND is_active AND auto_allocate"
FREE = f"SELECT sum(greatest(allocation_cap - allocated_seats, 0)) FROM instances_instance WHERE {OPEN}"  # noqa: S608
# Free seats that are not owed to subscribers who have waited longer.
MY_TURN = f"""(
    SELECT count(*) FROM instances_seatwait w JOIN accounts_userprofile p ON p.id = w.profile_id
    WHERE w.product_id = %(product)s AND p.access_state = ANY(%(waits)s) AND w.profile_id <> %(profile)s
      AND coalesce((w.since, w.id) < (SELECT mine.since, mine.id FROM instances_seatwait mine
                   WHERE mine.product_id = %(product)s AND mine.profile_id = %(profile)s), true)
) < ({FREE})"""  # noqa: S608
NOBODY_ELSE_WAITS = """NOT EXISTS (
    SELECT FROM instances_seatwait w WHERE w.product_id = %(product)s AND w.profile_id <> %(profile)s)"""
# First: the least allocated, below soft_cap while there is such an instance, without waiting for locks. Whose turn it is, is
# costly to find out: where somebody waits, the third try does.
PICK_UNLOCKED = f"""pick AS (
    SELECT id FROM instances_instance WHERE {OPEN} AND allocated_seats < allocation_cap AND {NOBODY_ELSE_WAITS}
       AND (allocated_seats < soft_cap OR NOT EXISTS (
            SELECT 1 FROM instances_instance WHERE {OPEN} AND allocated_seats < soft_cap))
    ORDER BY allocated_seats, id LIMIT 1 FOR UPDATE SKIP LOCKED)"""  # noqa: S608
# Second: wait for the one that was best when we asked. One lock, so no deadlock; if it has filled up meanwhile, nothing is picked.
PICK_NEXT = f"""best AS MATERIALIZED (
    SELECT id, allocated_seats >= soft_cap AS above FROM instances_instance
    WHERE {OPEN} AND allocated_seats < allocation_cap AND {NOBODY_ELSE_WAITS}
    ORDER BY allocated_seats >= soft_cap, allocated_seats, id LIMIT 1),
pick AS (
    SELECT i.id FROM instances_instance i JOIN best ON best.id = i.id
    WHERE {OPEN} AND allocated_seats < allocation_cap AND (allocated_seats < soft_cap OR above) FOR UPDATE OF i)"""  # noqa: S608
# Third: lock all candidates in the order of their ids, then choose by what they hold by then.
CHOICE = "pick AS (SELECT id FROM locked ORDER BY allocated_seats >= soft_cap, allocated_seats, id LIMIT 1)"
PICK_WAITING = f"""locked AS MATERIALIZED (
    SELECT id, soft_cap, allocated_seats FROM instances_instance
    WHERE {OPEN} AND allocated_seats < allocation_cap AND {MY_TURN} ORDER BY id FOR UPDATE), {CHOICE}"""  # noqa: S608
# Returning subscribers only: the reserve above allocation_cap.
PICK_FROM_RESERVE = f"""locked AS MATERIALIZED (
    SELECT id, soft_cap, allocated_seats FROM instances_instance
    WHERE {OPEN} AND allocated_seats < hard_cap ORDER BY id FOR UPDATE), {CHOICE}"""  # noqa: S608
# Who comes back to where their data still is: there, up to the cap that holds for them.
PICK_OWN = f"""pick AS (
    SELECT id FROM instances_instance WHERE {OPEN} AND id = %(own)s
       AND (allocated_seats < allocation_cap AND {MY_TURN} OR %(returning)s AND allocated_seats < hard_cap) FOR UPDATE)"""  # noqa: S608
TAKE = """WITH {pick},
up AS (UPDATE instances_instance i SET allocated_seats = i.allocated_seats + 1,
              reserved = i.reserved + (%(state)s = 'reserved')::int, assigned = i.assigned + (%(state)s = 'assigned')::int
       FROM pick WHERE i.id = pick.id RETURNING i.id),
done AS (DELETE FROM instances_seatwait USING up WHERE profile_id = %(profile)s AND product_id = %(product)s)
INSERT INTO instances_seat (profile_id, product_id, instance_id, state, reserved_until, created_at, changed_at)
SELECT %(profile)s, %(product)s, id, %(state)s, %(until)s, %(now)s, %(now)s FROM up RETURNING id"""
COUNT = """UPDATE instances_instance i SET allocated_seats = i.allocated_seats + change.by,
       reserved = i.reserved + change.by * (change.state = 'reserved')::int,
       assigned = i.assigned + change.by * (change.state = 'assigned')::int,
       retained = i.retained + change.by * (change.state = 'retained')::int,
       over_cap_since = CASE WHEN i.allocated_seats + change.by > i.hard_cap THEN i.over_cap_since END
FROM {change} WHERE i.id = change.id"""
RELEASE = """WITH was AS (
    SELECT id, state FROM instances_seat WHERE id = %(seat)s AND state <> 'released' FOR UPDATE),
change AS (
    UPDATE instances_seat s SET state = 'released', reserved_until = NULL, released_at = %(now)s, changed_at = %(now)s
    FROM was WHERE s.id = was.id RETURNING s.instance_id AS id, was.state, -1 AS by)
""" + COUNT.format(change="change")  # noqa: S608
MOVE = COUNT.format(change="(VALUES (%(old)s, %(state)s, -1), (%(new)s, %(state)s, 1)) AS change (id, state, by)")
# Seats that are found as they are, whatever the caps: their instances are locked already.
OCCUPY = """WITH made AS (
    INSERT INTO instances_seat (profile_id, product_id, instance_id, state, created_at, changed_at)
    SELECT profile, product, instance, state, %(now)s, %(now)s
    FROM unnest(%(profiles)s::bigint[], %(products)s::bigint[], %(instances)s::bigint[], %(states)s::text[])
        AS found (profile, product, instance, state)
    RETURNING instance_id, state),
change AS (
    SELECT instance_id AS id, count(*) AS seats, count(*) FILTER (WHERE state = 'assigned') AS used,
        count(*) FILTER (WHERE state = 'retained') AS kept FROM made GROUP BY instance_id)
UPDATE instances_instance i SET allocated_seats = i.allocated_seats + change.seats, assigned = i.assigned + change.used,
    retained = i.retained + change.kept,
    over_cap_since = CASE WHEN i.allocated_seats + change.seats > i.hard_cap THEN coalesce(i.over_cap_since, %(now)s) END
FROM change WHERE i.id = change.id"""
# Another state on the same instance: `allocated_seats` counts it as before.
CHANGE = """WITH changed AS (
    UPDATE instances_seat SET state = %(after)s, reserved_until = NULL, changed_at = %(now)s
    WHERE id = %(seat)s AND state = %(before)s RETURNING instance_id AS id)
UPDATE instances_instance i SET
    reserved = i.reserved + (%(after)s = 'reserved')::int - (%(before)s = 'reserved')::int,
    assigned = i.assigned + (%(after)s = 'assigned')::int - (%(before)s = 'assigned')::int,
    retained = i.retained + (%(after)s = 'retained')::int - (%(before)s = 'retained')::int
FROM changed WHERE i.id = changed.id"""
