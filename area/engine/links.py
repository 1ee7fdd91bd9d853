"""Links that a person can act on without signing in."""

from uuid import UUID

from area.core.crypto import Signer
from area.core.errors import NotFound
from area.core.settings import Settings


class Links:
    """The links of approvals: for each run and step one, known before the step begins."""

    def __init__(self, settings: Settings) -> None:
        self._signer = Signer(settings.secret_key.get_secret_value(), "approval", settings.other_keys)
        self._base = f"{settings.public_url.rstrip('/')}/approvals/"

    def url(self, run_id: UUID, step: str) -> str:
        """The link at which anybody who has it can decide."""
        return self._base + self._signer.sign(f"{run_id.hex}.{step}")

    def read(self, token: str) -> tuple[UUID, str]:
        """Run and step of a link. Raises: NotFound."""
        run, _, step = (self._signer.read(token) or "").partition(".")
        if not run:
            raise NotFound("This link is not one of ours, or was cut. Copy it again, all of it.")
        return UUID(run), step
