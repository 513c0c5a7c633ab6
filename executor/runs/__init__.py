"""Start, stop, park and recover runs inside an executor: fences, spool, delivery."""
