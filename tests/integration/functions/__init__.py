"""The API against real databases; against a real gunicorn where threads and sockets matter."""
