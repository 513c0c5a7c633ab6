"""`make up`: Runyard on one machine."""
