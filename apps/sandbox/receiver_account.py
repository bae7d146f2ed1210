"""What signs the messages to every receiver of the sandbox, until `POST /control/receiver` says otherwise."""

SECRET = "whsec_c2FuZGJveC1yZWNlaXZlci1zZWNyZXQtMDAx"  # noqa: S105
NEXT_SECRET = "whsec_c2FuZGJveC1yZWNlaXZlci1zZWNyZXQtMDAy"  # noqa: S105
