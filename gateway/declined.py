"""Why a change of keys, secrets or workspaces is not made; nothing has changed then.

Declined
├── WorkspaceUnknown
├── WorkspaceTaken
├── AskingKeyOver         whoever asks was revoked, or has expired, since he was admitted
├── KeyUnknown            of another workspace, too
├── KeyOver               it was revoked, has expired or was rotated before
├── LastAdminKept
├── MoreThanOwn           nobody hands out, or ends, more than he has
├── NoEncryptionKey
└── Unmeant               a name, role, scope or time that cannot be meant
"""


class Declined(Exception):
    """The message is a sentence for whoever asked."""


class WorkspaceUnknown(Declined):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no workspace {name!r}.")


class WorkspaceTaken(Declined):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is a workspace {name!r} already.")


class AskingKeyOver(Declined):
    def __init__(self) -> None:
        super().__init__("This key is unknown, or it has expired or was revoked.")


class KeyUnknown(Declined):
    def __init__(self, key_id: str, workspace: str) -> None:
        super().__init__(f"There is no key {key_id!r} in the workspace {workspace!r}.")


class KeyOver(Declined):
    pass


class LastAdminKept(Declined):
    def __init__(self) -> None:
        super().__init__(
            "This is the last key that can manage keys here; make another one first, or rotate it."
        )


class MoreThanOwn(Declined):
    pass


class NoEncryptionKey(Declined):
    pass


class Unmeant(Declined):
    pass
