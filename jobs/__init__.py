"""An edge like functions/, with the queue as its trigger: procrastinate's tasks, and the hosts that start workers."""
