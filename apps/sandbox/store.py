"""The sandbox's whole state: one dictionary of JSON values under one lock, kept in one file between runs.

A request holds `store.lock` while it reads and writes (see middleware.py), so each is atomic. Code that calls out
over HTTP (webhooks, back-channel logout) must not hold it.
"""

import copy
import json
import threading
import time
from pathlib import Path
from typing import Any

from apps.sandbox import settings

EMPTY: dict[str, Any] = {
    "clock_offset": 0,
    "faults": {},
    "webhook_mode": "deliver",
    "stripe": {},
    "keycloak": {},
    "nextcloud": {},
    "receiver": {},
    "immich": {},
    "mails": [],
    "mailgun": {
        "state": "active",
        "disabled": False,
        "dns": "valid",
        "webhooks": {},
        "tracking": "on",
        "addresses": {},
    },
}


class Store:
    """State with the lifetime of the process. `data` holds only what JSON can hold."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.data: dict[str, Any] = copy.deepcopy(EMPTY)
        self._file: Path | None = None
        self._marks: dict[str, str] = {}
        self._changed = threading.Event()

    def open(self, folder: str) -> None:
        """Read the state kept in `folder` and keep it up to date there from now on."""
        self._file = Path(folder) / "sandbox.json"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            self.data = copy.deepcopy(EMPTY) | json.loads(self._file.read_text())
        threading.Thread(target=self._save_forever, name="sandbox-store", daemon=True).start()

    def changed(self) -> None:
        """Say that something may have changed; it is saved soon (settings.SAVE_EVERY_SECONDS)."""
        self._changed.set()

    def reset(self) -> None:
        """Forget everything, also in the file."""
        with self.lock:
            self.data.clear()
            self.data.update(copy.deepcopy(EMPTY))
        self.changed()

    def mark(self, name: str) -> None:
        """Remember everything as it is under a name, in memory only."""
        with self.lock:
            self._marks[name] = json.dumps(self.data)

    def is_as_marked(self, name: str) -> bool:
        """Whether nothing is different from then."""
        with self.lock:
            return self._marks.get(name) == json.dumps(self.data)

    def return_to_mark(self, name: str) -> None:
        """Be again as at `mark`. Raises ValueError when there is none of that name."""
        if name not in self._marks:
            raise ValueError("There is no such mark.")
        with self.lock:
            self.data.clear()
            self.data.update(json.loads(self._marks[name]))
        self.changed()

    def save(self) -> None:
        """Write the file now, by replacing it."""
        if self._file is None:
            return
        with self.lock:
            text = json.dumps(self.data)
        draft = self._file.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self._file)

    def _save_forever(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            self.save()
            time.sleep(settings.SAVE_EVERY_SECONDS)


store = Store()
