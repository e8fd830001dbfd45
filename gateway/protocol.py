"""Answer what is not HTTP as every other refusal: a problem, with a request id."""

import sys
from http import HTTPStatus
from uuid import uuid4

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import problems


class ProblemProtocol(HttpToolsProtocol):
    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed never reaches the app; `msg` is uvicorn's plain text for it."""
        request_id = str(uuid4())
        response = problems.render(_problem(sys.exc_info()[1], msg), request_id)
        head = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n"
        headers = [*response.raw_headers, (b"x-request-id", request_id.encode())]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        lines += [b"connection: close\r\n\r\n", bytes(response.body)]
        self.transport.write(head.encode() + b"".join(lines))
        self.transport.close()


def _problem(error: BaseException | None, detail: str) -> problems.Problem:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return problems.MethodNotAllowed("No path takes it.", headers={"Allow": "GET, POST"})
    return problems.InvalidRequest(detail)
