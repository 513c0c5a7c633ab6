"""The errors that the store answers, with S3's codes and sentences."""

from __future__ import annotations


class S3Refused(Exception):
    """An S3 error; `code` is S3's own code where S3 has one."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        self.status = status
        self.code = code
        self.sentence = sentence
        super().__init__(sentence)


NO_KEY = S3Refused(404, "NoSuchKey", "The specified key does not exist.")
NO_BUCKET = S3Refused(404, "NoSuchBucket", "The specified bucket does not exist")
NOT_EMPTY = S3Refused(409, "BucketNotEmpty", "The bucket you tried to delete is not empty")
OWNED = S3Refused(409, "BucketAlreadyOwnedByYou", "The bucket exists already, and you own it.")
PRECONDITION = S3Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
BAD_DIGEST = S3Refused(400, "XAmzContentSHA256Mismatch", "The body does not match the signed SHA-256.")
BAD_MD5 = S3Refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
FULL = S3Refused(507, "StorageFull", "The disk is full.")
INCOMPLETE = S3Refused(400, "IncompleteBody", "The connection ended before the body did.")
RANGE = S3Refused(416, "InvalidRange", "The requested range is not satisfiable")
BAD_XML = S3Refused(400, "MalformedXML", "The body is not valid XML for this request.")
BAD_NAME = S3Refused(400, "InvalidBucketName", "The specified bucket is not valid.")
BAD_KEY = S3Refused(400, "KeyTooLongError", "A key must be UTF-8 of 1 to 1024 bytes.")
REPEATED = S3Refused(400, "InvalidRequest", "A header of the request is repeated.")
NOT_HERE = S3Refused(501, "NotImplemented", "The trial store does not support this request.")
READS_ONLY = S3Refused(403, "AccessDenied", "This key only reads.")
NOT_ALLOWED = S3Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
