"""What the store answers when it does not do what was asked, as S3 says it."""

from __future__ import annotations


class S3Refused(Exception):
    """`code` is S3's own word where it has one."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        self.status = status
        self.code = code
        self.sentence = sentence
        super().__init__(sentence)


NO_KEY = S3Refused(404, "NoSuchKey", "The specified key does not exist.")
NO_BUCKET = S3Refused(404, "NoSuchBucket", "The specified bucket does not exist")
NOT_EMPTY = S3Refused(409, "BucketNotEmpty", "The bucket you tried to delete is not empty")
OWNED = S3Refused(409, "BucketAlreadyOwnedByYou", "The bucket is there already, and it is yours.")
PRECONDITION = S3Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
BAD_DIGEST = S3Refused(400, "XAmzContentSHA256Mismatch", "The body is not the one that was signed.")
BAD_MD5 = S3Refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
FULL = S3Refused(507, "StorageFull", "The disk is full.")
INCOMPLETE = S3Refused(400, "IncompleteBody", "The connection ended before the body did.")
RANGE = S3Refused(416, "InvalidRange", "The requested range is not satisfiable")
BAD_XML = S3Refused(400, "MalformedXML", "The body is not the XML that was expected.")
BAD_NAME = S3Refused(400, "InvalidBucketName", "The specified bucket is not valid.")
BAD_KEY = S3Refused(400, "KeyTooLongError", "A key is UTF-8 of 1 to 1024 bytes.")
NOT_HERE = S3Refused(501, "NotImplemented", "This store is for trying out and does not do that.")
NOT_ALLOWED = S3Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
