"""Commands for operators: users, apps, rules, session workers."""
