"""Customers whom Stripe and Keycloak have and nobody here, and the import that brings them in."""

from typing import Any

from apps.core import jobs
from apps.core.models import Job
from apps.operations import import_reading, imports
from apps.operations.models import CustomerImport, ImportRow
from tests.world import World

WHY: dict[str, Any] = {"actor": "staff:ada", "reason": "our customers of the old shop"}
HEAD = "email,first_name,last_name,username,language,keycloak_id,stripe_customer_id,products,access_until,seats"


def line(email: str = "", **cells: str) -> str:
    """A line of the file."""
    values = {"email": email, "first_name": "Old", "last_name": "Customer"} | cells
    return ",".join(values.get(name, "") for name in HEAD.split(","))


def file_of(*lines: str) -> bytes:
    return "\n".join([HEAD, *lines, ""]).encode()


def account(world: World, name: str, **more: Any) -> str:
    """An account in Keycloak that we did not make, and that its operator has put into our group; returns its id."""
    given = {
        "username": name, "email": f"{name}@example.com", "enabled": True, "emailVerified": True, "firstName": "Old",
        "lastName": "Customer", "groups": ["/frontdesk"],
    } | more  # fmt: skip
    answer = world.admin("POST", "/users", json=given)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"].rsplit("/", 1)[-1])


def customer(world: World, name: str, *, price: str = "", **rest: Any) -> str:
    """A customer at Stripe who pays for something; returns `cus_…`."""
    shop = world.shop
    made = shop.v1.customers.create({"email": f"{name}@example.com", "name": "Old Customer"}).id
    saved = shop.v1.payment_methods.attach("pm_card_visa", {"customer": made})
    shop.v1.customers.update(made, {"invoice_settings": {"default_payment_method": saved.id}})
    shop.subscribe(made, price or world.price("personal"), **rest)
    return made


def check(run: CustomerImport) -> CustomerImport:
    """Let the check of an import do all it has to."""
    jobs.withdraw(import_reading.KIND, run.pk, why="done here")
    import_reading.read(str(run.pk))
    run.refresh_from_db()
    assert run.state == CustomerImport.State.PLANNED, run.stages
    return run


def planned(*lines: str) -> CustomerImport:
    """A file that was checked."""
    return check(imports.plan_file(file_of(*lines), name="customers.csv", **WHY))


def start(run: CustomerImport, *, emails: bool = False) -> None:
    imports.start(run, expected=imports.count_ready(run, sends_emails=emails), sends_emails=emails, **WHY)


def verdicts(run: CustomerImport) -> list[str]:
    return list(run.rows.order_by("number").values_list("verdict", flat=True))


def row(run: CustomerImport, number: int = 2) -> ImportRow:
    return run.rows.get(number=number)


def queued(*kinds: str) -> int:
    return Job.objects.filter(kind__in=kinds, state="queued").count()
