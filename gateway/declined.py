"""Why a change of keys, secrets or workspaces is not made; nothing has changed then.

Declined
├── WorkspaceUnknown
├── WorkspaceTaken
├── KeyUnknown            of another workspace, too
├── KeyOver               it was revoked, has expired or was rotated before
├── LastAdminKept
├── MoreThanOwn           nobody hands out more than he has
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


class KeyUnknown(Declined):
    def __init__(self, key_id: str) -> None:
        super().__init__(f"There is no key {key_id!r} in this workspace.")


class KeyOver(Declined):
    pass


class LastAdminKept(Declined):
    def __init__(self) -> None:
        super().__init__(
            "This is the last key that can manage keys here; make another one first, or rotate it."
        )


class MoreThanOwn(Declined):
    def __init__(self) -> None:
        super().__init__(
            "A key hands out only scopes that it has itself, and a test key only test keys."
        )


class NoEncryptionKey(Declined):
    pass


class Unmeant(Declined):
    pass
