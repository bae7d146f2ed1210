"""What subscriber `n` of seed_bench is like: SQL expressions over their number."""

FIRST = "ada dana elif finn gita hugo ines jonas kofi lena marek nadia omar paula quinn rosa sven tara umut vera"
LAST = "abel berg conti diaz evans fuchs gruber haas iversen jansen klein lopez moreau novak okafor petit romano sato"
MAIL = "posteo.example mailbox.example gmail.example example.org"
# Out of 100: how many have each access state, what their subscription says, and for how many days that has been so; of those who are
# active, the days since their last login. By the terms below, each is what the policy decides.
STATES = (
    (85, "active", "active", "1 + mod(n * 31, 60)"), (88, "grace", "past_due", "1 + mod(n, 13)"),
    (92, "suspended", "past_due", "16 + mod(n, 40)"), (97, "canceled", "canceled", "1 + mod(n, 28)"),
    (100, "expired", "canceled", "32 + mod(n, 28)"),
)  # fmt: skip
GRACE_DAYS, EXPIRY_DAYS = 14, 30
DAY = "interval '1 day'"
PERIOD_END = f"now() + (1 + mod(n, 29)) * {DAY}"
# In whole seconds, as the audit trail hashes what it prints.
JOINED = f"date_trunc('second', now()) - (61 + mod(n * 7919, 305)) * {DAY}"
IS_ACTIVE, IS_LATE, HAS_ENDED = "mod(n, 100) < 85", "mod(n, 100) BETWEEN 85 AND 91", "mod(n, 100) >= 92"
HAS_ACCESS, HAS_EXPIRED = "mod(n, 100) < 88", "mod(n, 100) >= 97"


def one_of(words: str, divisor: int = 1) -> str:
    """A word for each number."""
    array = ", ".join(f"'{word}'" for word in words.split())
    return f"(ARRAY[{array}])[1 + mod(n / {divisor}, {len(words.split())})]"


def _by_state(position: int, quote: str = "'") -> str:
    cases = " ".join(f"WHEN mod(n, 100) < {row[0]} THEN {quote}{row[position]}{quote}" for row in STATES)
    return f"CASE {cases} END"


ACCESS, STATUS = _by_state(1), _by_state(2)
CHANGED = f"date_trunc('second', now()) - ({_by_state(3, quote='')}) * {DAY}"  # when the present state began


def instance_of(count: int, one_in: int) -> str:
    """Which of `count` instances, from 1, somebody is on, of an app that one in so many has."""
    return f"(1 + mod(n / {one_in}, {count}))"
