"""Certificates: upload a chain, or have a key and a request made; see what ends when. Private keys never come out."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from hilum.api.examples import CHAIN
from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Base64, Note, line, prose
from hilum.api.texts import Name as Study
from hilum.model.credential import Name
from hilum.security.certificates import KeyKind
from hilum.services.certificates import CertificateView, ChainView, Upload
from hilum.store.usage import Usage

router = Surface("/certificates")
Pem = Annotated[str, Field(min_length=1, max_length=262_144), AfterValidator(prose)]
Named = Annotated[Name, Field(description="What `${secret:NAME.chain}` and `${secret:NAME.key}` say.")]
InStudy = Annotated[Study | None, Field(description="Only integrations of this study may use it; none: all may.")]


class Content(BaseModel):
    """A PEM chain with its key, or without, or a PKCS#12 file."""

    model_config = ConfigDict(extra="forbid")

    chain: Pem | None = Field(None, description="PEM, in any order.", examples=[CHAIN])
    key: Annotated[SecretStr, Field(max_length=262_144)] | None = Field(None, description="The private key, PEM.")
    pkcs12: Base64 | None = Field(None, max_length=262_144, description="Instead of both: a file, in base64.")
    passphrase: Annotated[SecretStr, Field(max_length=1_000)] | None = Field(None, description="Of the key or file.")

    def upload(self) -> Upload:
        key = self.key.get_secret_value() if self.key is not None else None
        passphrase = self.passphrase.get_secret_value() if self.passphrase is not None else None
        return Upload(self.chain, key, self.pkcs12, passphrase)


class NewCertificate(Content):
    name: Named
    study: InStudy = None


class Subject(BaseModel):
    """Whom the certificate is for (RFC 5280, 4.1.2.6)."""

    model_config = ConfigDict(extra="forbid")

    common_name: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(line)]
    organization: Note = ""
    unit: Note = ""
    locality: Note = ""
    state: Note = ""
    country: Annotated[str, Field(pattern=r"^([A-Z]{2})?$")] = ""


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    subject: Subject
    names: list[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[\x21-\x7e]+$")]] = Field(
        [], max_length=50, description="Host names, addresses and e-mail addresses that it is to be valid for."
    )
    key_kind: KeyKind = Field("ec-p256", description="What key is made.")


class NewRequest(Request):
    name: Named
    study: InStudy = None


class Issued(BaseModel):
    model_config = ConfigDict(extra="forbid")

    chain: Pem = Field(..., description="What the authority issued, PEM, with the certificates above it.")


@router.get("")
@allow("certificates:read", audits="certificate.list")
async def list_certificates(services: Used, act: Acting, paging: Paging) -> Page[CertificateView]:
    """What there is, with the days that are left; what ends first comes first."""
    items, total = await services.certificates.list(act.scope, paging.offset, paging.limit)
    return Page[CertificateView].of(items, total, paging)


@router.post("", status_code=201)
@allow("certificates:write", audits="certificate.create")
async def upload_certificate(services: Used, act: Acting, response: Response, wanted: NewCertificate) -> ChainView:
    """400 where the certificates are not one chain or the key is another's; 409 where the name is taken."""
    return _made(response, await services.certificates.upload(act, wanted.name, wanted.upload(), wanted.study))


@router.post("/requests", status_code=201)
@allow("certificates:write", audits="certificate.request")
async def request_certificate(services: Used, act: Acting, response: Response, wanted: NewRequest) -> ChainView:
    """Make a key, which stays here, and a request for an authority. `complete` takes what it issues."""
    return _made(
        response,
        await services.certificates.request(
            act, wanted.name, wanted.subject.model_dump(), wanted.names, wanted.key_kind, wanted.study
        ),
    )


@router.get("/{certificate_id}")
@allow("certificates:read", audits="certificate.read")
async def read_certificate(services: Used, act: Acting, response: Response, certificate_id: uuid.UUID) -> ChainView:
    """The chain link by link, and the request that waits for an answer."""
    act.entity = f"certificate/{certificate_id}"
    return _tagged(response, await services.certificates.show(act.scope, certificate_id))


@router.put("/{certificate_id}")
@allow("certificates:write", audits="certificate.replace")
async def replace_certificate(
    services: Used, act: Acting, response: Response, certificate_id: uuid.UUID, version: IfMatch, wanted: Content
) -> ChainView:
    """Another chain with its key, or for the key that is there."""
    act.entity = f"certificate/{certificate_id}"
    return _tagged(response, await services.certificates.replace(act, certificate_id, version, wanted.upload()))


@router.delete("/{certificate_id}", status_code=204)
@allow("certificates:write", audits="certificate.remove")
async def remove_certificate(services: Used, act: Acting, certificate_id: uuid.UUID, version: IfMatch) -> None:
    """Its key is gone for good. 409 while integrations refer to it."""
    act.entity = f"certificate/{certificate_id}"
    await services.certificates.remove(act, certificate_id, version)


@router.post("/{certificate_id}/renew")
@allow("certificates:write", audits="certificate.renew")
async def renew_certificate(
    services: Used, act: Acting, response: Response, certificate_id: uuid.UUID, version: IfMatch, wanted: Request
) -> ChainView:
    """Make a new key and request beside the ones in use, which stay in use until `complete`."""
    act.entity = f"certificate/{certificate_id}"
    subject = wanted.subject.model_dump()
    return _tagged(
        response,
        await services.certificates.renew(act, certificate_id, version, subject, wanted.names, wanted.key_kind),
    )


@router.post("/{certificate_id}/complete")
@allow("certificates:write", audits="certificate.complete")
async def complete_certificate(
    services: Used, act: Acting, response: Response, certificate_id: uuid.UUID, version: IfMatch, wanted: Issued
) -> ChainView:
    """What the authority issued for the request. 400 where it is for another key."""
    act.entity = f"certificate/{certificate_id}"
    return _tagged(response, await services.certificates.complete(act, certificate_id, version, wanted.chain))


@router.get("/{certificate_id}/usage")
@allow("certificates:read", audits="certificate.usage")
async def read_certificate_usage(services: Used, act: Acting, certificate_id: uuid.UUID) -> Usage:
    """Where integrations refer to it."""
    act.entity = f"certificate/{certificate_id}"
    return await services.certificates.usage(act.scope, certificate_id)


def _made(response: Response, made: ChainView) -> ChainView:
    response.headers["location"] = f"/api/v1/certificates/{made.certificate.id}"
    return _tagged(response, made)


def _tagged(response: Response, one: ChainView) -> ChainView:
    etag(response, one.certificate.version)
    return one
