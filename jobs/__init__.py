"""The job worker: an edge like functions/, triggered by the queue. It holds procrastinate's tasks and the hosts."""
