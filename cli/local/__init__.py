"""`make up`: run Runyard on one machine."""
