"""The part of the table of endpoints that administers a workspace."""

from gateway import problems as p
from gateway.api.admin import audit, keys, signing_secrets
from gateway.api.endpoint import BODY_PROBLEMS, Endpoint

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/audit",
        handler=audit.list_audit,
        scope="audit:read",
        summary="List the audit of the workspace, newest first; the reading is audited too",
        query=audit.AuditQuery,
        response=audit.AuditBody,
        problems=(p.InvalidRequest,),
    ),
    Endpoint(
        method="GET",
        path="/audit/verification",
        handler=audit.get_verification,
        scope="audit:read",
        summary="Show whether the chain of the audit was whole at the last check of this gateway",
        response=audit.VerificationBody,
    ),
    Endpoint(
        method="GET",
        path="/keys",
        handler=keys.list_keys,
        scope="keys:manage",
        summary="List all API keys of the workspace, newest first, without their text",
        response=keys.KeysBody,
    ),
    Endpoint(
        method="POST",
        path="/keys",
        handler=keys.create_key,
        scope="keys:manage",
        summary="Create an API key; the answer shows it once",
        request=keys.CreateKeyRequest,
        response=keys.NewKeyBody,
        status=201,
        problems=(*BODY_PROBLEMS, p.WorkspaceNotFound),
    ),
    Endpoint(
        method="DELETE",
        path="/keys/{key_id}",
        handler=keys.revoke_key,
        scope="keys:manage",
        summary="Revoke an API key",
        response=keys.KeyBody,
        problems=(p.KeyNotFound, p.LastAdminKept),
    ),
    Endpoint(
        method="POST",
        path="/keys/{key_id}/rotate",
        handler=keys.rotate_key,
        scope="keys:manage",
        summary="Replace an API key by one like it; the old one ends after the overlap",
        request=keys.RotateKeyRequest,
        response=keys.NewKeyBody,
        status=201,
        problems=(*BODY_PROBLEMS, p.KeyNotFound, p.KeyEnded),
    ),
    Endpoint(
        method="GET",
        path="/secrets",
        handler=signing_secrets.list_secrets,
        scope="secrets:manage",
        summary="List the signing secrets of the workspace, newest first, without their text",
        response=signing_secrets.SecretsBody,
    ),
    Endpoint(
        method="POST",
        path="/secrets",
        handler=signing_secrets.create_secret,
        scope="secrets:manage",
        summary="Create a signing secret, shown once; older ones sign for 24 more hours",
        request=signing_secrets.CreateSecretRequest,
        response=signing_secrets.NewSecretBody,
        status=201,
        problems=(*BODY_PROBLEMS, p.EncryptionNotConfigured),
    ),
)
