"""Session workers: activation, lifecycle, retirement."""
