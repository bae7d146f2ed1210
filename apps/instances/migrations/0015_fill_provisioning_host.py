"""The hosts of the instances that take orders already, in the form of connections.py."""

from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.db import migrations


def host_of(address: str) -> str:
    url = urlsplit(address.strip().lower())
    name, usual = (url.hostname or "").rstrip("."), {"https": 443, "http": 80}.get(url.scheme)
    port = "" if url.port in (None, usual) else f":{url.port}"
    path = "/".join(part for part in url.path.removesuffix("/index.php").split("/") if part)
    return f"{name}{port}/{path}".rstrip("/")


def fill(apps: Any, _editor: Any) -> None:
    for one in apps.get_model("instances", "Provisioning").objects.filter(host=""):
        one.host = host_of(one.address)
        one.save(update_fields=["host"])


class Migration(migrations.Migration):
    safe_because: ClassVar[str] = "One short row for each instance; the previous release does not read the column."
    dependencies = [("instances", "0014_provisioning_host")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
