"""A product of another's making, told by signed webhooks what each account should be (the chapter Webhooks of the manual).

It gets the whole order each time, and may say in its answer what the account is then; one that never does is taken at its word.
A refusal (410, another 4xx, a redirect) is for staff; a failure (5xx, no answer) is repeated by the job that sent it. What staff
are told and what the log keeps never has the secret or the signature in it.

Standard Webhooks, https://www.standardwebhooks.com
"""

from typing import Any, ClassVar

from apps.core import attention, clock
from apps.core.attention import Cause
from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.instances.models import Instance, ProductAccount, WebhookDelivery
from apps.instances.provisioning import messages
from apps.instances.provisioning.contract import AccountFound, AccountOrder, AddressRefused, NotTold, ProductHost
from apps.instances.provisioning.posting import Reply, post
from apps.instances.webhook_models import DeliveryKind as Kind
from apps.instances.webhook_models import DeliveryState as State

AWAY = (408, 425, 429, 502, 503, 504)  # not now, whatever it was asked
OF_THE_ADDRESS = (401, 403, 404, 405, 410)  # wrong for every account


class Webhook:
    """The Receiver of one address. See contract.py."""

    label: ClassVar[str] = "Webhook"
    needs_login: ClassVar[bool] = False
    may_move: ClassVar[bool] = True  # another address receives for the same product

    def __init__(self, host: ProductHost) -> None:
        self.host = host
        self.secrets = messages.read_secrets(host.secret, where=host.name)

    def check(self) -> str:
        """Send a test, which the receiver has to accept. Nothing tells what is behind the address."""
        self._refuse(self._deliver(Kind.TEST, {"instance": self.host.name}), "take the test")
        return ""

    def quota_held(self, quota: int) -> int:
        """As it is: how a receiver keeps it is its own business."""
        return quota

    def find(self, user_id: str) -> AccountFound | None:
        """Ask. NotTold when the answer says nothing of the account."""
        account = self._account(user_id)
        row = self._deliver(Kind.QUESTION, {"id": user_id, "instance": self.host.name}, account)
        return self._read(row, account, account.quota)

    def tell(self, user_id: str, order: AccountOrder) -> AccountFound | None:
        """Send the whole order."""
        account = self._account(user_id)
        wanted = {"exists": order.exists, "enabled": order.enabled, "quota": order.quota}
        data = {
            "id": user_id, **wanted, "product": account.instance.product.slug, "instance": self.host.name,
            "group": self.host.group or None,
        }  # fmt: skip
        row = self._deliver(Kind.ORDER, data, account, order=wanted)
        try:
            return self._read(row, account, order.quota)
        except NotTold:
            return AccountFound(order.enabled, order.quota, None) if order.exists else None

    def _account(self, user_id: str) -> ProductAccount:
        rows = ProductAccount.objects.select_related("instance__product")
        return rows.get(instance__slug=self.host.name, user_id=user_id)

    def _deliver(
        self,
        kind: Kind,
        data: dict[str, Any],
        account: ProductAccount | None = None,
        *,
        order: dict[str, Any] | None = None,
    ) -> tuple[WebhookDelivery, Reply]:
        """Log it, post it, log the answer; an accepted question leaves no line."""
        instance = account.instance if account else Instance.objects.only("pk").get(slug=self.host.name)
        row = WebhookDelivery(
            instance=instance, account=account, message_id=messages.new_id(), kind=kind, order=order or {}, sent_at=clock.now(),
        )  # fmt: skip
        if kind == Kind.ORDER:
            row.save()
            data["sequence"] = row.pk
        message = messages.write_message(row.message_id, kind, data, keys=self.secrets, at=clock.machine_now())
        answer = post(self.host.address, message.body, message.headers)
        row.state, row.status, row.milliseconds = _state_of(answer.status), answer.status, answer.milliseconds
        bare = [one.removeprefix(messages.PREFIX) for one in self.secrets]
        row.answer = messages.as_kept(answer.text, [*bare, *message.headers["webhook-signature"].split()])
        if not (kind == Kind.QUESTION and row.state == State.ACCEPTED):
            row.save()
        return row, answer

    def _read(
        self, delivered: tuple[WebhookDelivery, Reply], account: ProductAccount, quota: int | None
    ) -> AccountFound | None:
        """The account in an accepted answer; `quota`: what it should be."""
        row, answer = delivered
        self._refuse(delivered, f"take {row.get_kind_display().lower()} {row.pk} about account {account.pk}", account)
        attention.resolve_soon(
            Cause.WEBHOOK_REFUSED,
            self.host.name,
            refusal_key(self.host.name, account.pk),
            why="A message was accepted.",
        )
        try:
            return messages.read_account(answer.text, quota=quota)
        except ValueError as problem:
            raise NeedsOperator(
                f"{self.host.name} accepted a message about account {account.pk}, but its answer has no valid {problem}."
            ) from None

    def _refuse(
        self, delivered: tuple[WebhookDelivery, Reply], doing: str, account: ProductAccount | None = None
    ) -> None:
        """Raise unless it was accepted. `doing` ends "did not …"."""
        row, answer = delivered
        if row.state == State.ACCEPTED:
            return
        said = answer.text if answer.status is None else str(answer.status)
        sentence = f"{self.label} on {self.host.name} did not {doing} ({said})."
        if answer.status is None or answer.status in AWAY:
            raise DependencyDown(self.host.dependency, sentence)
        if row.state == State.FAILED:
            raise RetryLater(sentence)
        if account is not None:
            self._report(answer.status, account)
        raise (AddressRefused if _is_of_the_address(answer.status) else NeedsOperator)(sentence)

    def _report(self, status: int, account: ProductAccount) -> None:
        is_address = _is_of_the_address(status)
        what = "what it is told" if is_address else f"what it is told of account {account.pk}"
        gone = ", which says that nobody receives there any more" if status == 410 else ""
        attention.report(
            Cause.WEBHOOK_REFUSED, self.host.name if is_address else refusal_key(self.host.name, account.pk),
            f"{self.host.name} refuses {what} ({status}{gone}). Its accounts stay as they were there. See its answer among the webhook"
            " deliveries, correct the receiver or the address, and send it again.",
            profiles=[account.profile_id],
        )  # fmt: skip


def refusal_key(name: str, account_id: int) -> str:
    """Of the attention item about one account on an instance; the instance's name alone is that about its address."""
    return f"{name}:{account_id}"


def _is_of_the_address(status: int) -> bool:
    return status in OF_THE_ADDRESS or 300 <= status < 400


def _state_of(status: int | None) -> State:
    if status is None or status >= 500 or status in AWAY:
        return State.FAILED
    return State.ACCEPTED if 200 <= status < 300 else State.REFUSED
