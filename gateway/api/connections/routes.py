"""The part of the table of endpoints that is about connections."""

from gateway import problems as p
from gateway.api.connections import connections
from gateway.api.endpoint import BODY_PROBLEMS, Endpoint

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/connections",
        handler=connections.list_connections,
        scope="connections:read",
        summary="List the connections of the workspace, oldest first, and the providers",
        response=connections.ConnectionsBody,
    ),
    Endpoint(
        method="GET",
        path="/connections/{connection_id}",
        handler=connections.get_connection,
        scope="connections:read",
        summary="Show a connection: its account, scopes, hosts and state",
        response=connections.ConnectionBody,
        problems=(p.ConnectionNotFound,),
    ),
    Endpoint(
        method="POST",
        path="/connections",
        handler=connections.create_connection,
        scope="connections:manage",
        summary="Create a connection from a token, a password or a header; no answer shows it",
        request=connections.CreateConnectionRequest,
        response=connections.ConnectionBody,
        status=201,
        problems=(
            *BODY_PROBLEMS,
            p.TargetForbidden,
            p.ConnectionExists,
            p.EncryptionNotConfigured,
        ),
    ),
    Endpoint(
        method="DELETE",
        path="/connections/{connection_id}",
        handler=connections.delete_connection,
        scope="connections:manage",
        summary="Delete a connection; what was approved as its account is not sent any more",
        response=connections.DeletedBody,
        problems=(p.ConnectionNotFound,),
    ),
)
