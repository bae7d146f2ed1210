"""The verdict about one row of an import: ready, needs a decision, conflict, or here already; and the person it would make. Asks nobody.

Promises: nobody loses what they have by being imported unless staff say so for that row; an account or a customer is somebody's only by
its id, or by an address that Keycloak has verified; nothing is mailed to anybody whom staff have not chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.access.facts import facts_of_newcomer
from apps.access.policy import Account, Decision, decide
from apps.billing import adopting
from apps.billing.returned_payments import pays_for_present
from apps.billing.subscriptions import SubscriptionState
from apps.core import clock
from apps.core.addresses import can_be_mailed
from apps.core.dates import last_day
from apps.core.reason_sentences import reason_sentence
from apps.identity.user_profile import FIELD_WORDS, find_violation
from apps.operations.import_file import LENGTHS
from apps.operations.import_people import NewPerson, describe, list_grantable, read_seats
from apps.operations.import_questions import (
    CHOICES,
    ENABLE,
    FOLLOW,
    GRANT,
    INVITE,
    LEAVE_OUT,
    LINK,
    WITHOUT,
    Question,
)
from apps.operations.import_surroundings import KnownPerson, Surroundings, suggest_username
from apps.operations.models import ImportRow

Verdict = ImportRow.Verdict
CLOSES = (Account.DISABLED, Account.UNTOUCHED)  # what Keycloak then closes, where there is an open account


@dataclass(frozen=True)
class Judged:
    """The verdict, as the row keeps it; `person` is there when it is ready."""

    verdict: ImportRow.Verdict
    why: str
    question: str = ""
    choices: list[list[str]] = field(default_factory=list)
    person: NewPerson | None = None

    @property
    def becomes(self) -> str:
        return self.person.decision.state.value if self.person else ""


class Found(Exception):
    """A verdict that needs no further look."""

    def __init__(self, judged: Judged) -> None:
        super().__init__(judged.why)
        self.judged = judged


def judge(row: ImportRow, around: Surroundings) -> Judged:
    """The verdict by what is known now."""
    try:
        return _Judge(row, around).judge()
    except Found as found:
        return found.judged


def _conflict(why: str) -> Found:
    return Found(Judged(Verdict.CONFLICT, why[:400]))


def _ask(question: Question, why: str, *choices: str, others: Mapping[str, str] | None = None) -> Found:
    offered = [*(others or {}).items(), *((one, CHOICES[one]) for one in (*choices, LEAVE_OUT))]
    return Found(Judged(Verdict.DECISION, why[:400], question.value, [list(one) for one in offered]))


class _Judge:
    """One row beside what is around it."""

    def __init__(self, row: ImportRow, around: Surroundings) -> None:
        self.row, self.around, self.account = row, around, row.account

    def answer(self, question: Question) -> str:
        return str(self.row.answers.get(question.value, ""))

    def judge(self) -> Judged:
        if self.row.problem:
            raise _conflict(self.row.problem)
        if LEAVE_OUT in self.row.answers.values():
            raise Found(Judged(Verdict.LEFT_OUT, "Staff left it out."))
        self._refuse_twins()
        self._check_account()
        self._refuse_known("", str(self.account.get("id", "")))
        customer = self._customer()
        email = self._email(customer)
        self._refuse_known(customer, str(self.account.get("id", "")), email)
        person = self._person(email, customer)
        self._ask_about_money(person)
        self._check_access(person)
        return Judged(Verdict.READY, describe(person, self.account)[:400], person=person)

    # --- who it is -------------------------------------------------------------------------------------------------

    def _refuse_twins(self) -> None:
        """Rows above this one with the same address, customer or account."""
        values = {"email": self.row.email, "customer_id": self.row.customer_id, "keycloak_id": self.row.keycloak_id}
        words = {"email": "address", "customer_id": "customer", "keycloak_id": "account"}
        for name, value in values.items():
            if value and (first := self.around.first.get((name, value), self.row.number)) < self.row.number:
                raise _conflict(f"Row {first} has the same {words[name]}.")

    def _check_account(self) -> None:
        """The account is there, is theirs, and may be changed by us."""
        row, account = self.row, self.account
        if row.keycloak_id and not account:
            raise _conflict(f"Keycloak has no account {row.keycloak_id}.")
        if not account or account["id"] in self.around.by_account:
            return
        refusals = {
            f"Account {account['id']} is one of staff.": account["is_staff"] or account["id"] in self.around.logins,
            f"Account {account['id']} has another address in Keycloak. Correct one of the two.": (
                bool(row.email and account["email"]) and account["email"] != row.email
            ),
            f"Account {account['id']} carries the mark of a signup that is not here.": bool(account["mark"]),
            f"Another system keeps account {account['id']}, and Keycloak only reads it there.": (
                len(account["id"]) > LENGTHS["keycloak_id"]
            ),
        }
        for why, applies in refusals.items():
            if applies:
                raise _conflict(why)
        self._ask_about_account()

    def _ask_about_account(self) -> None:
        row, account = self.row, self.account
        if not row.keycloak_id and not account["email_verified"] and self.answer(Question.UNVERIFIED_ACCOUNT) != LINK:
            raise _ask(
                Question.UNVERIFIED_ACCOUNT,
                f"Keycloak's account {account['id']} has this address, which it has not verified: it may be somebody else's.",
                LINK,
            )
        if not account["may_change"]:
            raise _ask(
                Question.UNREACHABLE,
                f"We may not change account {account['id']}. Put it into our group in Keycloak, then check again.",
            )

    def _customer(self) -> str:
        """The customer at Stripe; empty for none."""
        if self.row.customer_id:
            if self.row.customer_id not in self.row.customers:
                raise _conflict(f"Stripe lists no subscription of {self.row.customer_id}.")
            return self.row.customer_id
        paying = [one for one in sorted(self.row.customers) if adopting.pays_for_ours(self._states(one))]
        if not paying:
            return ""
        if len(paying) > 1:
            answer = self.answer(Question.SEVERAL_CUSTOMERS)
            if answer in paying:
                return answer
            named = {one: f"{one} is theirs: link it" for one in paying}
            raise _ask(
                Question.SEVERAL_CUSTOMERS,
                f"{len(paying)} customers at Stripe pay and have this address.",
                others=named,
            )
        if self.account and self.account["email_verified"]:
            return str(paying[0])
        answer = self.answer(Question.UNVERIFIED_CUSTOMER)
        if answer not in (LINK, WITHOUT):
            raise _ask(
                Question.UNVERIFIED_CUSTOMER,
                f"{paying[0]} at Stripe pays and has this address, which nobody has verified.",
                LINK,
                WITHOUT,
            )
        return str(paying[0]) if answer == LINK else ""

    def _states(self, customer: str) -> tuple[SubscriptionState, ...]:
        return adopting.read_states(self.row.customers.get(customer, {}).get("subscriptions", ()), self.around.prices)

    def _email(self, customer: str) -> str:
        at_stripe = str(self.row.customers.get(customer, {}).get("email", "")).lower()
        found = next((one for one in (str(self.row.email), str(self.account.get("email", "")), at_stripe) if one), "")
        if not found:
            raise _conflict("No address is known.")
        if not can_be_mailed(found):
            raise _conflict("No email can be delivered to the address. Correct it in Keycloak or at Stripe.")
        if found in self.around.paying:
            raise _conflict("Somebody is signing up with this address right now.")
        return found

    def _refuse_known(self, customer: str, account: str, email: str = "") -> None:
        """Subscribers who are here: the same person, or somebody who has a part of theirs."""
        here, row = self.around, self.row
        email, customer = email or row.email, customer or row.customer_id
        hits = [here.by_email.get(email), here.by_customer.get(customer), here.by_account.get(account)]
        people = {one.pk: one for one in hits if one is not None}
        if not people:
            return
        known = next(iter(people.values()))
        differs = _differences(known, email, customer, account) if len(people) == 1 else []
        if len(people) > 1:
            raise _conflict(f"These are of several subscribers here: {', '.join(f'{pk}' for pk in sorted(people))}.")
        if differs:
            raise _conflict(f"Subscriber {known.pk} is here with another {' and another '.join(differs)}.")
        raise Found(Judged(Verdict.HERE, f"Is subscriber {known.pk} already."))

    # --- what they have --------------------------------------------------------------------------------------------

    def _person(self, email: str, customer: str) -> NewPerson:
        row, around, account = self.row, self.around, self.account
        first, last = self._names(customer)
        granted = tuple(around.products[one] for one in row.products if one in around.products)
        if granted and row.access_until and row.access_until <= clock.now():
            raise _conflict(f"The grant ended on {last_day(row.access_until)}. Name a later day in the file, or none.")
        states = self._states(customer)
        facts = facts_of_newcomer(
            states, around.catalog, around.book, granted=granted, until=row.access_until if granted else None
        )
        person = NewPerson(
            email=email, username=self._username(email), first_name=first, last_name=last, language=row.language,
            keycloak_id=str(account.get("id", "")), customer_id=customer,
            subscriptions=tuple(row.customers.get(customer, {}).get("subscriptions", ())), granted=granted,
            until=row.access_until if granted else None, seats=read_seats(row, around.places), facts=facts, decision=decide(facts),
        )  # fmt: skip
        if not account:
            self._refuse_what_the_realm_refuses(person)
        return person

    def _names(self, customer: str) -> tuple[str, str]:
        row, account = self.row, self.account
        given, _, family = str(row.customers.get(customer, {}).get("name", "")).strip().rpartition(" ")
        first = str(account.get("first_name", "")) or row.first_name or given or family
        return first[:120], (str(account.get("last_name", "")) or row.last_name or (family if given else ""))[:120]

    def _username(self, email: str) -> str:
        """The account's own, else the one of the file, else one by the address."""
        own = str(self.account.get("username", "")).lower()
        if own and self.row.username and self.row.username != own:
            raise _conflict("The account has another username in Keycloak.")
        name = own or self.row.username or suggest_username(email)
        if not name:
            raise _conflict("The address gives no username. Name one in the file.")
        if len(name) > LENGTHS["username"]:
            raise _conflict(f"The username is longer than {LENGTHS['username']} characters. Change it in Keycloak.")
        if name in self.around.usernames:
            raise _conflict("The username is taken. Name another one in the file.")
        return name

    def _refuse_what_the_realm_refuses(self, person: NewPerson) -> None:
        values = {
            "username": person.username, "email": person.email, "firstName": person.first_name,
            "lastName": person.last_name,
        }  # fmt: skip
        for name, value in values.items():
            if find_violation(name, value, self.around.rules) is not None:
                raise _conflict(f"Keycloak would refuse the {FIELD_WORDS.get(name, name)}. Correct it in the file.")

    # --- what becomes of it ----------------------------------------------------------------------------------------

    def _ask_about_money(self, person: NewPerson) -> None:
        """What pays for today went back, so that their access would end once their payments are fetched."""
        about = self.row.customers.get(person.customer_id, {})
        is_gone = about.get("lost") or pays_for_present(about.get("subscriptions", []), about.get("returned", ""))
        if not is_gone or person.until or not person.decision.state.has_access:
            return
        if self.answer(Question.MONEY_WENT_BACK) != FOLLOW:
            what = "A payment was lost in a dispute" if about.get("lost") else "What they paid for today was refunded"
            why = f"{what}. Their access ends once their payments are fetched, soon after the import."
            raise _ask(Question.MONEY_WENT_BACK, why, *self._grant(person), FOLLOW)

    def _check_access(self, person: NewPerson) -> None:
        decision, is_open = person.decision, bool(self.account.get("enabled"))
        if decision.account == Account.AS_IS:
            raise _conflict("A subscription is in a state that is new to us. Check it at Stripe, and update Frontdesk.")
        closes = is_open and decision.account in CLOSES
        lost = self._lost(person) if is_open and decision.account == Account.ENABLED else []
        if (closes or lost) and self.answer(Question.LOSES_ACCESS) != FOLLOW:
            why = f"The account is open, and the first sync would close it: {reason_sentence(decision.reason)}"
            if lost:
                why = f"They would lose what they have: {', '.join(lost)}."
            raise _ask(Question.LOSES_ACCESS, why, *self._grant(person), FOLLOW)
        if self.account:
            self._ask_before_enabling(decision)
            return
        if decision.account == Account.ENABLED:
            if not self.around.sends_emails and self.answer(Question.NO_ACCOUNT) != INVITE:
                why = "Keycloak has no account with this address. They would get one, and an email to set the password."
                raise _ask(Question.NO_ACCOUNT, why, INVITE)
        elif not person.customer_id:
            why = "They have no account, and nothing gives them access."
            raise _ask(Question.NOTHING_DUE, why, *self._grant(person))

    def _grant(self, person: NewPerson) -> tuple[str, ...]:
        """The choice of a grant, where it would give something that none gives yet."""
        given = list_grantable(self.row, self.around.places, self.around.products)
        has = {*self.row.products} if person.until else set[str]()
        return (GRANT,) if {*given} - has else ()

    def _ask_before_enabling(self, decision: Decision) -> None:
        """An account was disabled for a reason, which nobody here knows."""
        is_closed = not self.account.get("enabled") and decision.account == Account.ENABLED
        if is_closed and self.answer(Question.CLOSED_ACCOUNT) != ENABLE:
            why = f"The account is disabled in Keycloak, and the first sync would enable it: {reason_sentence(decision.reason)}"
            raise _ask(Question.CLOSED_ACCOUNT, why, ENABLE)

    def _lost(self, person: NewPerson) -> list[str]:
        """Of what the account says today, what would be taken away or become less; unless that is not known."""
        due = person.decision.entitlements
        present = self.account.get("attributes", {})
        if person.decision.partial:
            return []
        # Who has no seat here yet gets one; on an instance that is not ours they may have data.
        wanted = due.attributes({product: person.seats.get(product, "") for product in due.seats})
        less = [name for name in self.around.owned & present.keys() if _is_less(wanted.get(name), present[name])]
        unseated = [f"the seat on {product}" for product in person.seats if product not in due.seats]
        return [*sorted(less), *sorted(unseated)]


def _is_less(wanted: str | None, present: str) -> bool:
    if wanted is None:
        return present not in ("", "0", "false")
    if wanted.isdecimal() and present.isdecimal():
        return int(wanted) < int(present)
    return wanted == "" and present != ""


def _differences(known: KnownPerson, email: str, customer: str, account: str) -> list[str]:
    """The words for what the source names and the subscriber here has otherwise, or not at all."""
    pairs = {
        "address": (email, known.email),
        "customer": (customer, known.customer_id),
        "account": (account, known.keycloak_id),
    }
    return [word for word, (given, has) in pairs.items() if given and given != has]
