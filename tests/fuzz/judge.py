"""Judges each response of a gateway by the published document."""

from typing import Any

import httpx2
import msgspec
from jsonschema import Draft202012Validator

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from gateway.http.responses import PROBLEM_JSON

DOCUMENT: dict[str, Any] = msgspec.json.decode(document(ENDPOINTS))
VALIDATORS = {
    name: Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )
    for name in DOCUMENT["components"]["schemas"]
}


def faults(method: str, path: str, response: httpx2.Response) -> list[str]:
    """What is wrong with the response. `path`: as in the document."""
    if response.status_code >= 500:
        return [f"{response.status_code}: {response.text}"]
    described = DOCUMENT["paths"].get(path, {}).get(method.lower(), {})
    content = described.get("responses", {}).get(str(response.status_code), {}).get("content", {})
    kind = response.headers.get("content-type")
    if response.status_code >= 400 and (kind == PROBLEM_JSON or kind not in content):
        if kind != PROBLEM_JSON:
            return [f"{response.status_code} is no problem: {response.text}"]
        return _violations("ProblemBody", response)
    if "application/json" not in content:
        return []
    return _violations(content["application/json"]["schema"]["$ref"].rpartition("/")[2], response)


def _violations(schema: str, response: httpx2.Response) -> list[str]:
    body = msgspec.json.decode(response.content)
    return [f"{schema}: {error.message}" for error in VALIDATORS[schema].iter_errors(body)]
