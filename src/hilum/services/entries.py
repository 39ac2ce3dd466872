"""What `${secret:…}` stands for: the values of credentials and certificates that an integration may use."""

from __future__ import annotations

from collections.abc import Iterable

from hilum.services.certificates import Certificates
from hilum.services.credentials import Credentials


class Entries:
    """The vault as the engine sees it."""

    def __init__(self, credentials: Credentials, certificates: Certificates) -> None:
        self.credentials = credentials
        self.certificates = certificates

    async def values(self, organization: int, study: int | None, wanted: Iterable[str]) -> dict[str, str]:
        """By `NAME` and `NAME.FIELD`, of the entries that `wanted` names; what there is not is left out.

        Every value is known to the mask from here on. Raises StoreError, ConfigError where the vault does not open.
        """
        names = {one.partition(".")[0] for one in wanted}
        if not names:
            return {}
        found = await self.credentials.values(organization, study, names)
        left = names - {one.partition(".")[0] for one in found}
        return found | (await self.certificates.values(organization, study, left) if left else {})
