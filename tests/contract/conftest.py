"""Every row of the contract runs on two servers; the real one is started once per run, in one worker."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from apps.billing import stripe_client
from apps.core import clock
from apps.identity import keycloak as module
from apps.identity.protocol import Identity
from apps.sandbox.run import keycloak_realm
from tests import world as worlds
from tests.contract import counting, servers
from tests.contract.proxy import Proxy
from tests.contract.servers import Server
from tests.login.conftest import log_in_at
from tests.sandbox.keycloak_fixture import PROJECT
from tests.world import World

PRODUCTION = PROJECT / "config/keycloak/realm.json"
BOTH = [pytest.param("standin"), pytest.param("keycloak", marks=pytest.mark.xdist_group("keycloak"))]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only_on(server, reason): a row that cannot run on the other server, and why")
    config.addinivalue_line(
        "markers", "spoils: leaves the realm otherwise, so that the next test of it needs a new one"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what its mark keeps from one of the servers; what spoils a realm comes last in its file."""
    kept = [item for item in items if not _elsewhere(item)]
    config.hook.pytest_deselected(items=[item for item in items if _elsewhere(item)])
    place = {item.path: number for number, item in reversed([*enumerate(kept)])}
    items[:] = sorted(kept, key=lambda item: (place[item.path], item.get_closest_marker("spoils") is not None))


def _elsewhere(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("only_on")
    return mark is not None and counting.server_of(item.nodeid) not in {mark.args[0], ""}


@pytest.fixture(scope="session")
def standin_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.standin(tmp_path_factory.mktemp("standin") / "clock") as server:
        yield server


@pytest.fixture(params=BOTH)
def server(request: pytest.FixtureRequest) -> Server:
    """The stand-in, and then the real one."""
    fixture = {"standin": "standin_server", "keycloak": "keycloak_process"}[request.param]
    found: Server = request.getfixturevalue(fixture)
    return found


@pytest.fixture
def identity(server: Server, settings: object) -> Iterator[Identity]:
    """Our own client of it, as made by the first caller of a new process."""
    point_at(server, settings)
    yield module.client()
    module._client.cache_clear()


def point_at(server: Server, settings: object) -> None:
    """Settings as an operator would write them for this server."""
    settings.KEYCLOAK_SERVER_URL = server.keycloak
    settings.KEYCLOAK_REALM = server.realm
    settings.KEYCLOAK_ISSUER = server.issuer
    settings.KEYCLOAK_ADMIN_CLIENT_ID = "frontdesk-sync"
    settings.KEYCLOAK_ADMIN_CLIENT_SECRET = "dev-only-sync-secret"
    module._client.cache_clear()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """Trouble on the way between our client and the Keycloak of `world`."""
    made = Proxy(server.keycloak)
    yield made
    made.close()


@pytest.fixture
def world(server: Server, proxy: Proxy, settings: Any, monkeypatch: pytest.MonkeyPatch, db: None) -> Iterator[World]:
    """The world with this Keycloak in it, and our client behind the proxy.

    Its clock moves the application and Stripe, and the stand-in; a real Keycloak keeps the system's time.
    """
    made = World(server.url)
    made.standin = server
    made.shop.webhooks("drop")
    worlds.point_at(settings, server.url, server.clock)
    point_at(server, settings)
    settings.KEYCLOAK_SERVER_URL = proxy.url
    monkeypatch.setattr(stripe, "api_base", f"{server.url}/stripe")
    stripe_client.client.cache_clear()
    module._client.cache_clear()
    made.skip()
    made.open_shop()
    made.skip()
    yield made
    if clock.offset_seconds():
        server.control("reset")  # back to the present
    server.forget_bearers()
    stripe_client.client.cache_clear()
    module._client.cache_clear()


@pytest.fixture(scope="module")
def production(keycloak_process: Server) -> Iterator[Server]:
    """A realm of the production file on the real server, beside the rehearsal's; its emails go into the sandbox."""
    shared = keycloak_process
    smtp = shared.call("GET", "").json()["smtpServer"]
    given = servers.values(shared.told, int(smtp["port"])) | {"SMTP_HOST": smtp["host"], "SMTP_FROM": smtp["from"]}
    given |= {"SMTP_USER": "mail", "SMTP_PASSWORD": "secret"}
    given |= {f"FRONTDESK_{name.upper()}_SECRET": f"dev-only-{name}-secret" for name in ("web", "sync", "doctor")}
    realm = keycloak_realm.make(shared.keycloak, shared.login, given, file=PRODUCTION)
    server = Server(shared.url, shared.told, shared.clock)
    server.login = shared.login
    server.at(shared.keycloak, realm)
    server.call("PUT", "", json=server.call("GET", "").json() | {"smtpServer": smtp})  # the sandbox speaks no TLS
    yield server
    keycloak_realm.remove(shared.keycloak, shared.login, realm)


@pytest.fixture
def site(production: Server, settings: Any) -> Server:
    """Our settings for it, as on a site with https."""
    point_at(production, settings)
    log_in_at(production, settings)
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = "frontdesk-doctor"
    settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = "dev-only-doctor-secret"
    settings.STAFF_REQUIRED_ACR = "2"
    return production


@pytest.fixture
def at_once() -> Callable[[list[Callable[[], Any]]], list[Any]]:
    """Run calls in threads that all begin at the same moment; what they return, in order."""

    def run(calls: list[Callable[[], Any]]) -> list[Any]:
        barrier = threading.Barrier(len(calls))

        def one(call: Callable[[], Any]) -> Any:
            barrier.wait()
            return call()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, calls))

    return run
