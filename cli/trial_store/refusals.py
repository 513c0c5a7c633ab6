"""What the store answers when it does not do what was asked, as S3 says it."""

from __future__ import annotations


class Refused(Exception):
    """`code` is S3's own word where it has one."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        self.status = status
        self.code = code
        self.sentence = sentence
        super().__init__(sentence)


NO_KEY = Refused(404, "NoSuchKey", "The specified key does not exist.")
NO_BUCKET = Refused(404, "NoSuchBucket", "The specified bucket does not exist")
NOT_EMPTY = Refused(409, "BucketNotEmpty", "The bucket you tried to delete is not empty")
OWNED = Refused(409, "BucketAlreadyOwnedByYou", "The bucket is there already, and it is yours.")
PRECONDITION = Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
BAD_DIGEST = Refused(400, "XAmzContentSHA256Mismatch", "The body is not the one that was signed.")
BAD_MD5 = Refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
FULL = Refused(507, "StorageFull", "The disk is full.")
INCOMPLETE = Refused(400, "IncompleteBody", "The connection ended before the body did.")
RANGE = Refused(416, "InvalidRange", "The requested range is not satisfiable")
BAD_XML = Refused(400, "MalformedXML", "The body is not the XML that was expected.")
BAD_NAME = Refused(400, "InvalidBucketName", "The specified bucket is not valid.")
BAD_KEY = Refused(400, "KeyTooLongError", "A key is UTF-8 of 1 to 1024 bytes.")
NOT_HERE = Refused(501, "NotImplemented", "This store is for trying out and does not do that.")
NOT_ALLOWED = Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
