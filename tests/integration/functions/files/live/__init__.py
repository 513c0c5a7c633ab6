"""Files of sessions that have a real worker: API, job worker, executor and store together."""
