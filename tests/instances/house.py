"""People, products and instances for the tests of seats, and threads that act at the same moment."""

import itertools
import queue
import threading
from collections.abc import Callable, Iterable

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Count, F

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.instances import capacity, deployments
from apps.instances.models import Instance, Seat

_numbers = itertools.count(1)


def people(count: int) -> list[UserProfile]:
    names = [f"person{next(_numbers)}" for _ in range(count)]
    users = User.objects.bulk_create(User(username=name) for name in names)
    return UserProfile.objects.bulk_create(
        UserProfile(user=user, email=f"{user.username}@example.com", created_at=clock.now()) for user in users
    )


def person() -> UserProfile:
    return people(1)[0]


def app(slug: str = "") -> Product:
    slug = slug or f"app{next(_numbers)}"
    return Product.objects.create(slug=slug, name=slug.title(), is_app=True, needs_instance=True)


def instance(product: Product, soft: int = 2, allocation_cap: int = 4, hard: int = 6) -> Instance:
    slug = f"{product.slug}-{next(_numbers)}"
    return deployments.create_instance(
        Instance(
            slug=slug,
            name=slug,
            product=product,
            url=f"https://{slug}.example.com/",
            soft_cap=soft,
            allocation_cap=allocation_cap,
            hard_cap=hard,
        ),
        actor="staff:ada",
        reason="test",
    )


def at_once[T](calls: Iterable[Callable[[], T]], *, clients: int) -> list[T | Exception]:
    """What each call returned or raised; `clients` threads with a connection each, which start together."""
    work = queue.SimpleQueue[Callable[[], T]]()
    for call in calls:
        work.put(call)
    results: list[T | Exception] = []
    start = threading.Barrier(clients)

    def client() -> None:
        connection.ensure_connection()
        start.wait(timeout=60)
        while True:
            try:
                results.append(work.get_nowait()())
            except queue.Empty:
                break
            except Exception as error:  # noqa: BLE001  (the test judges it)
                results.append(error)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def drift() -> list[str]:
    """Instances whose counters differ from their live seats (law L8)."""
    return capacity.find_miscounted()


def over_cap() -> list[str]:
    """Instances with more seats than new people may take."""
    over = Instance.objects.filter(allocated_seats__gt=F("allocation_cap"))
    return list(over.values_list("slug", flat=True))


def doubles() -> int:
    """People with two live seats of one product."""
    live = Seat.objects.exclude(state=Seat.State.RELEASED)
    return live.values("profile", "product").annotate(n=Count("pk")).filter(n__gt=1).count()


def spread(product: Product) -> int:
    counts = Instance.objects.filter(product=product).values_list("allocated_seats", flat=True)
    return max(counts) - min(counts)
