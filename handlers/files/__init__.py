"""Files of sessions as their snapshots hold them: which snapshot, listings, comparisons and the audit."""
