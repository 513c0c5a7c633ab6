"""Commands for operators: users, apps, approval rules and session workers."""
