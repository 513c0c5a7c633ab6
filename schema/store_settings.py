"""Settings of the object store that job worker and API read, with the sentences that describe them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from schema.addresses import web_address

WebAddress = Annotated[str, AfterValidator(web_address)]
S3EndpointUrl = Annotated[
    WebAddress | None,
    Field(
        description="Address of the object store, any that speaks S3.",
        json_schema_extra={"default": "that of AWS"},
    ),
]
S3Bucket = Annotated[str, Field(description="Bucket for saved workspaces. The job worker makes it if it is missing.")]
S3Region = Annotated[str, Field(description="Region of the bucket.")]
_AWS_CHAIN = "AWS's own chain of credentials"
S3AccessKeyId = Annotated[
    str | None,
    Field(
        description="Access key of the object store. The job worker writes with it; the API reads with it unless it "
        "has `S3_READ_ACCESS_KEY_ID`.",
        json_schema_extra={"default": _AWS_CHAIN},
    ),
]
S3SecretAccessKey = Annotated[
    SecretStr | None, Field(description="Secret of that key.", json_schema_extra={"default": _AWS_CHAIN})
]
S3ReadAccessKeyId = Annotated[
    str | None,
    Field(
        description="Access key with which the API reads saved files. Give it the right to read objects and no other; "
        "the doctor checks that.",
        json_schema_extra={"default": "`S3_ACCESS_KEY_ID`"},
    ),
]
S3ReadSecretAccessKey = Annotated[
    SecretStr | None,
    Field(description="Secret of the reading key.", json_schema_extra={"default": "`S3_SECRET_ACCESS_KEY`"}),
]
VerifyDays = Annotated[
    int,
    Field(
        ge=0,
        le=3650,
        description="Read each stored object at least every N days, compare it with its digest, and tell which are "
        "missing, altered or unreadable. 0 disables it.",
    ),
]
