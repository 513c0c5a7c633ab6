"""`make chat`: a terminal client of the public API."""
