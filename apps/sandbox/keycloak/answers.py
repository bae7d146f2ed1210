"""The two shapes of Keycloak's error answers, and the exception that carries one to the edge."""

from typing import Any

from django.http import HttpResponse, JsonResponse

WORDS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    415: "Unsupported Media Type",
}


class RefusedError(Exception):
    """Keycloak refuses: `status` and the JSON `body` it answers with."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body

    def response(self) -> HttpResponse:
        """The refusal as an HTTP answer."""
        return JsonResponse(self.body, status=self.status)


def refused(status: int, message: str) -> RefusedError:
    """A refusal by one of Keycloak's resources: `errorMessage`."""
    return RefusedError(status, {"errorMessage": message})


def failed(status: int, error: str = "", description: str = "") -> RefusedError:
    """A refusal by Keycloak's framework: `error`, by default the bare HTTP status in words."""
    body = {"error": error or f"HTTP {status} {WORDS[status]}"}
    if description:
        body["error_description"] = description
    return RefusedError(status, body)


def unknown_error() -> RefusedError:
    """What an unexpected exception inside Keycloak looks like from outside."""
    return failed(500, "unknown_error", "For more on this error consult the server log.")


def nothing(status: int = 204) -> HttpResponse:
    """An answer without a body."""
    response = HttpResponse(status=status)
    del response["Content-Type"]
    return response


def created(location: str, body: dict[str, Any] | None = None) -> HttpResponse:
    """201 with the new thing's address; a body only where Keycloak sends one."""
    response = nothing(201) if body is None else JsonResponse(body, status=201)
    response["Location"] = location
    return response
