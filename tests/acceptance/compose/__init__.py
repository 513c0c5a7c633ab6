"""docker-compose.yml as it is, run by Compose on a real container engine."""
