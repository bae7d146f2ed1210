"""kcadm.sh where no Java is: the few verbs the doctor's commands use, over the Admin API as kcadm does it.

Run as a program on the path. KCADM_SERVER is Keycloak's address, KCADM_LOGIN its administrator's name and password. A field
that is changed is read, merged and written whole.
"""

import json
import os
import re
import sys
from typing import Any

import requests

BASE = os.environ["KCADM_SERVER"]
FIELD = re.compile(r'"([^"]+)"|([^."]+)')


class Kcadm:
    """One call of the program."""

    def __init__(self, words: list[str]) -> None:
        self.verb, self.words = words[0], words[1:]
        username, password = os.environ["KCADM_LOGIN"].split(" ")
        form = {"grant_type": "password", "client_id": "admin-cli", "username": username, "password": password}
        answer = requests.post(f"{BASE}/realms/master/protocol/openid-connect/token", data=form, timeout=20)
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def options(self, name: str) -> list[str]:
        return [self.words[at + 1] for at, word in enumerate(self.words) if word == name]

    def option(self, name: str) -> str:
        return self.options(name)[0]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        place = "" if path.startswith("realms/") else f"realms/{self.option('-r')}/"
        answer = requests.request(method, f"{BASE}/admin/{place}{path}", headers=self.headers, json=body, timeout=20)
        assert answer.ok, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.text else None

    def run(self) -> None:
        if self.verb.endswith("-roles"):
            self.roles()
        elif self.verb == "get":
            query = f"?{'&'.join(self.options('-q'))}" if "-q" in self.words else ""
            found = self.call("GET", self.words[0] + query)
            sys.stdout.write((found[0] if isinstance(found, list) else found)["id"])
        elif self.verb == "create":
            self.call("POST", self.words[0], self.merged({}))
        elif self.verb == "delete":
            self.call("DELETE", self.words[0])
        elif "-n" in self.words:
            self.call("PUT", self.words[0], json.loads(self.option("-b")))
        else:
            self.call("PUT", self.words[0], self.merged(self.call("GET", self.words[0])))

    def merged(self, row: dict[str, Any]) -> dict[str, Any]:
        for given in self.options("-s"):
            name, _, value = given.partition("=")
            *above, last = [quoted or plain for quoted, plain in FIELD.findall(name)]
            place = row
            for step in above:
                place = place.setdefault(step, {})
            place[last] = read(value)
        return row

    def roles(self) -> None:
        (client,) = self.call("GET", f"clients?clientId={self.option('--cclientid')}")
        names = self.options("--rolename")
        rows = [self.call("GET", f"clients/{client['id']}/roles/{name}") for name in names]
        method = "POST" if self.verb == "add-roles" else "DELETE"
        if "--rname" in self.words:
            role = self.call("GET", f"roles/{self.option('--rname')}")
            self.call(method, f"roles-by-id/{role['id']}/composites", rows)
            return
        holder = f"groups/{self.option('--gid')}" if "--gid" in self.words else f"users/{self.user()}"
        self.call(method, f"{holder}/role-mappings/clients/{client['id']}", rows)

    def user(self) -> str:
        (found,) = self.call("GET", f"users?username={self.option('--uusername')}&exact=true")
        return str(found["id"])


def read(value: str) -> Any:
    """A value as kcadm reads it: JSON if it is, else a text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


if __name__ == "__main__":
    Kcadm(sys.argv[1:]).run()
